"""Sequence classifiers: opened to be trained or asked, and asked in batches of rows of like length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import ModelCallError, SpecError
from unflaw.models._devices import refuse_device
from unflaw.models._embedded import asset_folder, embedded_checkpoint
from unflaw.models._extras import require
from unflaw.models._hf import found_name, most_tokens, quietly
from unflaw.models._modes import as_judge
from unflaw.models._specs import ModelSpec, find_causal, parse_spec

__all__ = [
    "Features", "HFClassifier", "Text", "class_logits", "classes_of", "encode_texts", "find_classifier", "find_writer",
    "most_read", "open_classifier", "open_trainable_classifier", "pad_features", "writes_text",
]  # fmt: skip

_MOST_TOKENS = 8192
_ENCODED_AT_ONCE = 1024
Text = str | tuple[str, str]
"""What a classifier reads: a text, or a pair such as (premise, hypothesis)."""
Features = Mapping[str, Int[np.ndarray, " _"]]
"""A text as a tokenizer gives it: `input_ids`, and `token_type_ids` where the model knows which of a pair it reads."""


class HFClassifier:
    """A sequence classifier of transformers. Made by `open_classifier`."""

    def __init__(self, model: Any, tokenizer: Any, *, max_tokens: int | None = None, batch_tokens: int = 4096) -> None:
        """Wrap a model. Longer texts are cut at `max_tokens`: at what it was trained on, unless given."""
        self.model, self.tokenizer = model, tokenizer
        self.max_tokens = max_tokens or most_read(model, tokenizer)
        self.batch_tokens = batch_tokens
        self.labels: tuple[str, ...] = classes_of(model)
        """Names of the classes, in the order of the columns."""

    def logits(
        self, texts: Sequence[Text], *, progress: Callable[[int, int], None] | None = None
    ) -> Float[np.ndarray, "n classes"]:
        """Return one row of logits per text, float32. Raises ModelCallError where they are no numbers."""
        features = encode_texts(self.tokenizer, texts, self.max_tokens)
        z = class_logits(self.model, features, batch_tokens=self.batch_tokens, progress=progress)
        if not np.isfinite(z).all():
            raise ModelCallError("the classifier gives no numbers: it fell apart in training; lower the learning rate")
        return z

    def predict_proba(
        self, texts: Sequence[Text], *, progress: Callable[[int, int], None] | None = None
    ) -> Float[np.ndarray, "n classes"]:
        """Return rows that sum to 1. Raises ModelCallError as `logits`."""
        z = self.logits(texts, progress=progress)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


def open_classifier(spec: str | ModelSpec, device: str = "cpu", *, max_tokens: int | None = None) -> HFClassifier:
    """Open a classifier that was trained: `hf:` with a folder or hub id. Raises SpecError for what is none."""
    spec = parse_spec(spec)
    refuse_device(device)
    name = _name_of(spec)
    if not _is_classifier(name):
        raise SpecError(f"`{spec}` is no classifier: its head knows no classes; train one with `unflaw train`")
    model, tokenizer = _load(name, device)
    return HFClassifier(model, tokenizer, max_tokens=max_tokens)


def open_trainable_classifier(
    spec: str | ModelSpec, labels: Sequence[str], device: str = "cpu", *, seed: int = 0
) -> tuple[Any, Any, bool]:
    """Open (model, tokenizer, whether its head was trained already) to learn these classes.

    A classifier of the very same classes goes on with its head; any other encoder or language model gets a new one,
    drawn from `seed`.
    """
    spec = parse_spec(spec)
    name = _name_of(spec)
    goes_on = _is_classifier(name) and set(_classes_in_config(name)) == set(labels)
    model, tokenizer = _load(name, device, None if goes_on else labels, seed)
    if not goes_on and _is_classifier(name):
        _draw_head(model, seed)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.pad_token_id is None:  # language models find the last token of a row by it
        model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer, goes_on


def _draw_head(model: Any, seed: int) -> None:
    """Draw a head anew: that of a classifier of as many other classes would have been kept."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in model.named_modules():
            if not name.startswith(f"{model.base_model_prefix}.") and hasattr(module, "reset_parameters"):
                module.reset_parameters()


def find_classifier(spec: str | ModelSpec) -> ModelSpec:
    """Take a spec apart and look for the folder it names. Raises SpecError for what cannot become a classifier."""
    spec = parse_spec(spec)
    _name_of(spec)
    return spec


def writes_text(spec: str | ModelSpec) -> bool:
    """Whether a spec names a language model, as far as its configuration tells; what names nothing counts as one."""
    try:
        spec = parse_spec(spec)
        if spec.kind != "hf":
            return spec.kind not in ("minilm", "potion")
        made = _config_of(found_name(spec.name)).architectures
    except SpecError:
        return True
    return not made or made[0].endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"))


def find_writer(spec: str | ModelSpec) -> ModelSpec:
    """Take a spec apart and look for what it names here. Raises SpecError for what cannot write.

    Of a hub id nothing is asked: what it is will be seen when it is opened.
    """
    spec = parse_spec(spec)
    if spec.kind == "gguf" and not Path(spec.name).expanduser().is_file():
        raise SpecError(f"`{spec}` must name an existing file")
    if spec.kind in ("gguf", "openai"):
        return spec
    if (spec.kind != "hf" or Path(spec.name).expanduser().is_dir()) and not writes_text(spec):
        raise SpecError(f"`{spec}` is an encoder or a classifier, and writes nothing")
    return find_causal(spec)


def most_read(model: Any, tokenizer: Any) -> int:
    """Return how many tokens of a text a classifier reads: as its tokenizer was saved, and as its model can."""
    return min(tokenizer.model_max_length, most_tokens(model) or _MOST_TOKENS, _MOST_TOKENS)


def classes_of(model: Any) -> tuple[str, ...]:
    """Return the names of a classifier's classes, in the order of its logits."""
    names = {int(k): str(name) for k, name in model.config.id2label.items()}
    return tuple(names[k] for k in range(len(names)))


def encode_texts(tokenizer: Any, texts: Sequence[Text], max_tokens: int) -> list[Features]:
    """Return each text as token ids, cut at `max_tokens`; of a pair the longer side is cut first."""
    features: list[Features] = []
    for start in range(0, len(texts), _ENCODED_AT_ONCE):
        part = texts[start : start + _ENCODED_AT_ONCE]
        sides = [list(part)] if isinstance(part[0], str) else [list(side) for side in zip(*part, strict=True)]
        encoded = tokenizer(*sides, truncation=True, max_length=max_tokens, return_attention_mask=False)
        names = [name for name in ("input_ids", "token_type_ids") if name in encoded]
        features += [{name: np.array(encoded[name][i], np.int32) for name in names} for i in range(len(part))]
    return features


def pad_features(features: Sequence[Features], pad_id: int) -> dict[str, Any]:
    """Pad on the right into int64 tensors (B, T), `attention_mask` beside them."""
    import torch

    width = max(len(f["input_ids"]) for f in features)
    batch = {name: torch.zeros((len(features), width), dtype=torch.long) for name in (*features[0], "attention_mask")}
    batch["input_ids"] += pad_id
    for row, f in enumerate(features):
        n = len(f["input_ids"])
        batch["attention_mask"][row, :n] = 1
        for name in f:
            batch[name][row, :n] = torch.as_tensor(f[name])
    return batch


def class_logits(
    model: Any,
    features: Sequence[Features],
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> Float[np.ndarray, "n classes"]:
    """Ask a classifier in evaluation mode about encoded texts, rows of like length together; its mode stays."""
    found = np.zeros((len(features), model.config.num_labels), np.float32)
    order, done = sorted(range(len(features)), key=lambda i: -len(features[i]["input_ids"])), 0
    with as_judge(model):
        while done < len(order):
            rows = order[done : done + max(1, batch_tokens // max(1, len(features[order[done]]["input_ids"])))]
            batch = pad_features([features[i] for i in rows], model.config.pad_token_id or 0)
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            found[rows] = model(**batch).logits.float().cpu().numpy()
            done += len(rows)
            if progress is not None:
                progress(done, len(order))
    return found


def _name_of(spec: ModelSpec) -> str:
    if spec.kind == "minilm":
        return str(asset_folder("minilm"))
    if spec.kind == "smollm2":
        return str(embedded_checkpoint())
    if spec.kind == "hf":
        return found_name(spec.name)
    raise SpecError(f"`{spec}` cannot become a classifier; take minilm, hf:PATH_OR_ID or smollm2")


def _config_of(name: str) -> Any:
    require("transformers")
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(name, local_files_only=Path(name).is_dir())
    except (OSError, ValueError) as error:
        raise SpecError(f"`hf:{name}` holds no model that transformers knows: {str(error).splitlines()[0]}") from error


def _is_classifier(name: str) -> bool:
    made = _config_of(name).architectures or [""]
    return made[0].endswith("ForSequenceClassification")


def _classes_in_config(name: str) -> list[str]:
    return [str(label) for label in _config_of(name).id2label.values()]


def _load(name: str, device: str, labels: Sequence[str] | None = None, seed: int = 0) -> tuple[Any, Any]:
    require("torch", "transformers")
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    local, head = Path(name).is_dir(), {}
    if labels is not None:
        names = dict(enumerate(labels))
        head = {"num_labels": len(names), "id2label": names, "label2id": {label: k for k, label in names.items()}}
    told = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # that the head is new is no news
    try:
        with quietly(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local)
            model: Any = AutoModelForSequenceClassification.from_pretrained(
                name, dtype=torch.float32, local_files_only=local, ignore_mismatched_sizes=labels is not None, **head
            )
    except (OSError, ValueError) as error:
        raise SpecError(f"`hf:{name}` cannot become a classifier: {str(error).splitlines()[0]}") from error
    finally:
        logging.set_verbosity(told)
    return model.to(device), tokenizer
