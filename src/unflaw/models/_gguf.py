"""Fine-tuned checkpoints as GGUF files, so that llama.cpp writes with them as fast as with any other.

Supported: the llama architecture with the tokenizer of SmolLM2 (any size), full weights or an
adapter, which is merged first.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from unflaw._errors import SpecError, did_you_mean
from unflaw.models._chat import LINES
from unflaw.models._embedded import cache_dir
from unflaw.models._extras import require
from unflaw.models._hf import adapter_base, checkpoint_folders, load_adapter, load_causal
from unflaw.models._unpack import interleave

__all__ = ["cached_gguf", "export_gguf", "why_not_gguf"]

FILE_TYPES: Mapping[str, int] = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7}
"""Names of the quantisations and the numbers llama.cpp gives files that use them throughout."""

SMOLLM2_VOCABULARY = "ae74b2a2c5bed17762861623bca674411d40387a0202d53c03c8bdafb2b81679"
"""Digest of the vocabulary whose cutting rule llama.cpp knows as "smollm"."""

WRITER = 3
"""Goes up when the same checkpoint would be written differently, so that cached exports are renewed."""


def export_gguf(checkpoint: str | Path | tuple[Any, Any], out_path: str | Path, *, quantization: str = "q8_0") -> Path:
    """Write a checkpoint folder, or a (model, tokenizer) in memory, as one GGUF file.

    Matrices are quantised, vectors stay fp32. The default, `q8_0`, is 8 bits with a scale per 32
    weights: on two cores it writes faster than 16 bits and faster than the 4-bit file the embedded
    model comes in. The file appears under its name once it is complete.
    Raises SpecError when the architecture or the tokenizer is not supported.
    """
    if quantization not in FILE_TYPES:
        raise SpecError(f"`quantization` {quantization!r} is unknown. {did_you_mean(quantization, FILE_TYPES)}")
    require("gguf", "torch", "transformers")
    model, tokenizer = _load(Path(checkpoint)) if isinstance(checkpoint, str | Path) else checkpoint
    if hasattr(model, "merge_and_unload"):
        if not isinstance(checkpoint, str | Path):  # merging changes the weights; the caller's stay as they are
            model = copy.deepcopy(model)
        model = model.merge_and_unload()
    vocabulary = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    reason = _unsupported(model.config.to_dict(), vocabulary)
    if reason:
        raise SpecError(f"cannot write this checkpoint as GGUF: {reason}")
    out_path = Path(out_path)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    part = out_path.with_name(f".{out_path.name}-{secrets.token_hex(4)}")
    try:
        _write(model, tokenizer, vocabulary, part, quantization)
        part.replace(out_path)
    finally:
        part.unlink(missing_ok=True)
    return out_path


def cached_gguf(checkpoint: Path, cache: Path | None = None) -> Path:
    """Return the Q8_0 export of a checkpoint folder, writing it into the cache when it is missing.

    The name holds the folder and the state of its files, of an adapter's base too, so a checkpoint that was
    trained further is exported again, and its older export is removed. So are those of folders that are gone.
    """
    cache = cache or cache_dir()
    source = os.fsencode(checkpoint.resolve())
    place = hashlib.sha256(source).hexdigest()[:16]
    state = [_state(folder) for folder in checkpoint_folders(checkpoint)]
    version = hashlib.sha256(json.dumps([WRITER, state]).encode()).hexdigest()[:16]
    target = cache / "gguf" / f"{place}-{version}.gguf"
    if not target.is_file():
        _forget_gone(cache)
        _note_source(cache, place, source)
        export_gguf(checkpoint, target)
        _forget(cache, place, but=target)
    return target


def _state(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of each file."""
    return [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(folder.iterdir()) if f.is_file()]


def _note_source(cache: Path, place: str, source: bytes) -> None:
    """Write down which folder the exports of a place come from."""
    (cache / "gguf-sources").mkdir(parents=True, exist_ok=True)
    (cache / "gguf-sources" / place).write_bytes(source)


def _forget_gone(cache: Path) -> None:
    """Remove the exports of folders that are no longer there."""
    for note in (cache / "gguf-sources").glob("*"):
        with suppress(FileNotFoundError):  # another process may be at it too
            source = note.read_bytes()
            if source and not os.path.isdir(source):  # empty: another process is just writing it
                _forget(cache, note.name)
                note.unlink()


def _forget(cache: Path, place: str, but: Path | None = None) -> None:
    for export in (cache / "gguf").glob(f"{place}-*.gguf"):
        if export != but:
            export.unlink(missing_ok=True)


def why_not_gguf(checkpoint: Path) -> str:
    """Say why a checkpoint folder cannot be exported, or return "" when it can. Loads no weights."""
    try:
        if (checkpoint / "adapter_config.json").is_file():
            checkpoint = Path(adapter_base(checkpoint))
        config = json.loads((checkpoint / "config.json").read_text("utf-8"))
        vocabulary = json.loads((checkpoint / "tokenizer.json").read_text("utf-8"))["model"]
    except (OSError, ValueError, KeyError) as error:
        return f"its config.json and tokenizer.json cannot be read ({error})"
    return _unsupported(config, vocabulary)


def _load(folder: Path) -> tuple[Any, Any]:
    return load_adapter(folder) if (folder / "adapter_config.json").is_file() else load_causal(folder)


def _unsupported(config: Mapping[str, Any], vocabulary: Mapping[str, Any]) -> str:
    """Name the first thing that llama.cpp would do differently from transformers, or return ""."""
    if config.get("model_type") != "llama":
        return f"only the llama architecture is supported, this one is {config.get('model_type')!r}"
    rope = (config.get("rope_parameters") or {}).get("rope_type", "default")
    if rope != "default":
        return f"only plain rotary positions are supported, these are {rope!r}"
    if config.get("attention_bias") or config.get("mlp_bias"):
        return "only layers without a bias are supported"
    if _fingerprint(vocabulary) != SMOLLM2_VOCABULARY:
        return "only the tokenizer of SmolLM2 is supported, and this vocabulary differs"
    return ""


def _fingerprint(vocabulary: Mapping[str, Any]) -> str:
    """Return a digest of a BPE vocabulary as tokenizer.json holds it: words in order, then merges."""
    words = sorted(vocabulary["vocab"], key=vocabulary["vocab"].__getitem__) if vocabulary["type"] == "BPE" else []
    merges = [m if isinstance(m, str) else " ".join(m) for m in vocabulary.get("merges", ())]
    return hashlib.sha256("\n".join([*words, "", *merges]).encode()).hexdigest()


def _write(model: Any, tokenizer: Any, vocabulary: Mapping[str, Any], path: Path, quantization: str) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    _write_settings(writer, model.config, quantization)
    _write_tokenizer(writer, tokenizer, vocabulary, model.config.vocab_size)
    for name, values in _tensors(model):
        kind = _kind(values, quantization)
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_settings(writer: Any, config: Any, quantization: str) -> None:
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_file_type(FILE_TYPES[quantization])
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _write_tokenizer(writer: Any, tokenizer: Any, vocabulary: Mapping[str, Any], n_tokens: int) -> None:
    words, kinds = _tokens(tokenizer, vocabulary, n_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")  # every digit is a token of its own
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in vocabulary["merges"]])
    for role in ("bos", "eos", "pad", "unk"):
        token = getattr(tokenizer, f"{role}_token_id")
        if token is not None:
            getattr(writer, f"add_{role}_token_id")(token)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer.chat_template or LINES)  # else llama.cpp would assume one


def _tokens(tokenizer: Any, vocabulary: Mapping[str, Any], n: int) -> tuple[list[str], list[Any]]:
    """Return name and kind of the tokens that the n rows of the embedding stand for.

    A tokenizer keeps what was added to it apart from its vocabulary. An added token is matched in the text
    before anything else: CONTROL where it is special and not shown in answers, else USER_DEFINED.
    """
    from gguf import TokenType

    tokens = {i: (word, TokenType.NORMAL) for word, i in vocabulary["vocab"].items()}
    for i, token in tokenizer.added_tokens_decoder.items():
        tokens[i] = token.content, TokenType.CONTROL if token.special else TokenType.USER_DEFINED
    # The matrix may have more rows than there are tokens; llama.cpp wants a name for each.
    rows = [tokens.get(i, (f"[PAD{i}]", TokenType.UNUSED)) for i in range(n)]
    return [word for word, _ in rows], [kind for _, kind in rows]


def _tensors(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (GGUF name, fp32 values) of every weight, in llama.cpp's layout."""
    import gguf

    config = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.detach().float().cpu().numpy()
        if name.endswith("q_proj.weight"):
            values = interleave(values, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            values = interleave(values, config.num_key_value_heads)
        yield str(names.get_name(name, try_suffixes=(".weight",))), np.ascontiguousarray(values)


def _kind(values: np.ndarray, quantization: str) -> Any:
    """Return the storage type of one tensor: vectors are few and sensitive, so they stay fp32."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    kind = GGMLQuantizationType[quantization.upper()]
    if values.ndim < 2:
        return GGMLQuantizationType.F32
    # Quantised types store whole blocks of a row; a row that does not divide keeps 16 bits.
    return kind if values.shape[-1] % GGML_QUANT_SIZES[kind][0] == 0 else GGMLQuantizationType.F16
