"""The doors to models: protocols, spec strings and real back ends."""

from unflaw.models._cache import CachedGenerator, CallCache, OnResult, cached, call, row_seeds
from unflaw.models._chat import encode_pair, encode_prompt
from unflaw.models._classifiers import (
    Features,
    HFClassifier,
    Text,
    class_logits,
    classes_of,
    encode_texts,
    find_classifier,
    find_writer,
    most_read,
    open_classifier,
    open_trainable_classifier,
    pad_features,
    writes_text,
)
from unflaw.models._devices import device_problem, has_bfloat16, refuse_device
from unflaw.models._embedded import cache_dir, embedded_checkpoint, verify_assets
from unflaw.models._encoders import MeanPoolEncoder, StaticEncoder
from unflaw.models._fakes import HashEncoder, ScriptedGenerator, UnigramScorer
from unflaw.models._gguf import export_gguf
from unflaw.models._head import head_fits, head_of, last_states, output_layer
from unflaw.models._hf import HFGenerator, HFScorer, ends_of, most_tokens, quietly
from unflaw.models._llama import LlamaGenerator
from unflaw.models._modes import as_judge, inside, is_split, plain_generation, resplit, unwrapped
from unflaw.models._protocols import Classifier, Encoder, Generator, Message, Prompt, Sampling, Scorer, as_messages
from unflaw.models._specs import (
    ModelSpec,
    find_causal,
    local_folder,
    open_causal,
    open_encoder,
    open_generator,
    open_scorer,
    parse_spec,
    serve,
    weight_paths,
)
from unflaw.models._tagger import pattern_tagger
from unflaw.models._usage import Usage

__all__ = [
    "CachedGenerator",
    "CallCache",
    "Classifier",
    "Encoder",
    "Features",
    "Generator",
    "HFClassifier",
    "HFGenerator",
    "HFScorer",
    "HashEncoder",
    "LlamaGenerator",
    "MeanPoolEncoder",
    "Message",
    "ModelSpec",
    "OnResult",
    "Prompt",
    "Sampling",
    "Scorer",
    "ScriptedGenerator",
    "StaticEncoder",
    "Text",
    "UnigramScorer",
    "Usage",
    "as_judge",
    "as_messages",
    "cache_dir",
    "cached",
    "call",
    "class_logits",
    "classes_of",
    "device_problem",
    "embedded_checkpoint",
    "encode_pair",
    "encode_prompt",
    "encode_texts",
    "ends_of",
    "export_gguf",
    "find_causal",
    "find_classifier",
    "find_writer",
    "has_bfloat16",
    "head_fits",
    "head_of",
    "inside",
    "is_split",
    "last_states",
    "local_folder",
    "most_read",
    "most_tokens",
    "open_causal",
    "open_classifier",
    "open_encoder",
    "open_generator",
    "open_scorer",
    "open_trainable_classifier",
    "output_layer",
    "pad_features",
    "parse_spec",
    "pattern_tagger",
    "plain_generation",
    "quietly",
    "refuse_device",
    "resplit",
    "row_seeds",
    "serve",
    "unwrapped",
    "verify_assets",
    "weight_paths",
    "writes_text",
]
