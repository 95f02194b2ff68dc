"""A llama GGUF file becomes a plain transformers checkpoint. The way back is `_gguf`.

transformers reads GGUF too, but what it loads counts as quantised and refuses to be saved; and it
takes the vocabulary of a tokenizer without the rule that cuts text into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unflaw._errors import SpecError
from unflaw.models._extras import require

__all__ = ["interleave", "split_halves", "unpack_gguf"]


def unpack_gguf(path: str | Path, folder: str | Path) -> None:
    """Write the fp32 weights, settings and tokenizer of a llama GGUF file into an existing folder.

    Raises SpecError when the file is of another architecture or tokenizer family than SmolLM's.
    """
    require("gguf", "safetensors", "torch", "transformers")
    from gguf import GGUFReader

    reader = GGUFReader(path)
    about = {name: field.contents() for name, field in reader.fields.items()}
    kind = about.get("general.architecture"), about.get("tokenizer.ggml.model"), about.get("tokenizer.ggml.pre")
    if kind != ("llama", "gpt2", "smollm"):
        raise SpecError(f"`{path}` must be a llama model with the smollm tokenizer, got {kind}")
    config = _config(about)
    config.save_pretrained(folder)
    _tokenizer(about).save_pretrained(folder)
    _save_weights(reader.tensors, config, Path(folder))


def interleave(matrix: np.ndarray, n_heads: int) -> np.ndarray:
    """Reorder a query or key matrix (heads * d, width) from transformers' to llama.cpp's rows.

    Rotary positions turn pairs of rows. transformers pairs row i of a head with row i + d/2,
    llama.cpp with its neighbour: rows (0, 1, 2, 3) become (0, 2, 1, 3).
    """
    return matrix.reshape(n_heads, 2, -1, matrix.shape[-1]).swapaxes(1, 2).reshape(matrix.shape)


def split_halves(matrix: np.ndarray, n_heads: int) -> np.ndarray:
    """Undo `interleave`."""
    return matrix.reshape(n_heads, -1, 2, matrix.shape[-1]).swapaxes(1, 2).reshape(matrix.shape)


def _config(about: Mapping[str, Any]) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(about["tokenizer.ggml.tokens"]),
        hidden_size=about["llama.embedding_length"],
        intermediate_size=about["llama.feed_forward_length"],
        num_hidden_layers=about["llama.block_count"],
        num_attention_heads=about["llama.attention.head_count"],
        num_key_value_heads=about["llama.attention.head_count_kv"],
        max_position_embeddings=about["llama.context_length"],
        rms_norm_eps=about["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": about["llama.rope.freq_base"]},
        bos_token_id=about["tokenizer.ggml.bos_token_id"],
        eos_token_id=about["tokenizer.ggml.eos_token_id"],
        pad_token_id=about["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=True,
        architectures=["LlamaForCausalLM"],
        dtype="float32",
    )


def _tokenizer(about: Mapping[str, Any]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words: list[str] = about["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in about["tokenizer.ggml.merges"]]
    core = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    # What "smollm" means: every digit stands alone, then GPT-2's rule. With GPT-2's rule only, the
    # blank line before "2." in a numbered list would be cut into tokens the model never saw there.
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    control = [word for word, kind in zip(words, about["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    core.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in control])
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        bos_token=words[about["tokenizer.ggml.bos_token_id"]],
        eos_token=words[about["tokenizer.ggml.eos_token_id"]],
        pad_token=words[about["tokenizer.ggml.padding_token_id"]],
        unk_token=words[about["tokenizer.ggml.unknown_token_id"]],
    )
    tokenizer.chat_template = about["tokenizer.chat_template"]
    return tokenizer


def _save_weights(tensors: Any, config: Any, folder: Path) -> None:
    """Expand every tensor to fp32 under its transformers name."""
    import torch
    from gguf import MODEL_ARCH, get_tensor_name_map
    from gguf.quants import dequantize
    from safetensors.numpy import save_file
    from transformers import LlamaForCausalLM

    with torch.device("meta"):  # names and shapes only, no memory
        shapes = {name: tuple(tensor.shape) for name, tensor in LlamaForCausalLM(config).state_dict().items()}
    packed = {tensor.name: tensor for tensor in tensors}
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    weights = {}
    for name, shape in shapes.items():
        if name == "lm_head.weight":  # the same numbers as the embedding
            continue
        tensor = packed.pop(str(names.get_name(name, try_suffixes=(".weight",))))
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
        if name.endswith("q_proj.weight"):
            values = split_halves(values, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            values = split_halves(values, config.num_key_value_heads)
        weights[name] = np.ascontiguousarray(values)
    if packed:
        raise SpecError(f"the GGUF file holds weights that a tied llama model has no place for: {sorted(packed)}")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
