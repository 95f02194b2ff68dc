import copy
import json
import os
import shutil

import numpy as np
import pytest

from unflaw._errors import SpecError
from unflaw.models import LlamaGenerator, Sampling, export_gguf, open_causal, weight_paths
from unflaw.models._gguf import cached_gguf, why_not_gguf
from unflaw.models._hf import HFGenerator
from unflaw.models._unpack import interleave, split_halves, unpack_gguf

GREEDY = Sampling(max_tokens=12)
PROMPTS = ["What is the capital of France?", "Name three fruits:\n\n1. apple", "Höflich, 2024?"]


def weights_of(path):
    from gguf import GGUFReader
    from gguf.quants import dequantize

    return {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(path).tensors}


def test_rows_are_paired_as_llama_cpp_turns_them():
    rows = np.arange(8)[:, None]  # two heads of four
    assert interleave(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert split_halves(interleave(rows, 2), 2)[:, 0].tolist() == list(range(8))


def test_unpacking_undoes_exporting(tiny, tiny_gguf, tmp_path):
    import torch

    model, tokenizer = tiny
    unpack_gguf(tiny_gguf, tmp_path)
    again, again_tokenizer = open_causal(f"hf:{tmp_path}")
    assert all(torch.equal(again.state_dict()[name], values) for name, values in model.state_dict().items())
    assert again_tokenizer.get_vocab() == tokenizer.get_vocab()
    assert again_tokenizer.chat_template == tokenizer.chat_template


def test_eight_bits_err_by_half_a_step_of_each_block(tiny, tmp_path):
    rounded, exact = weights_of(export_gguf(tiny, tmp_path / "q8.gguf")), tiny[0].model.layers[0]
    matrix = exact.mlp.up_proj.weight.detach().numpy().reshape(-1, 32)
    step = np.abs(matrix).max(1, keepdims=True) / 127
    error = np.abs(rounded["blk.0.ffn_up.weight"].reshape(-1, 32) - matrix)
    assert 0 < (error / step).max() < 0.6  # half a step, and the scale itself is kept in 16 bits
    assert np.array_equal(rounded["blk.0.attn_norm.weight"], exact.input_layernorm.weight.detach().numpy())


def test_llama_cpp_writes_what_transformers_writes(tiny, tiny_gguf):
    with LlamaGenerator(tiny_gguf, n_parallel=1) as generator:
        assert generator.generate(PROMPTS, GREEDY) == HFGenerator(*tiny).generate(PROMPTS, GREEDY)


def test_a_base_model_stays_one(tiny, tmp_path):
    model, tokenizer = tiny
    base = copy.deepcopy(tokenizer)
    base.chat_template = None
    path = export_gguf((model, base), tmp_path / "base.gguf", quantization="f32")
    with LlamaGenerator(path, n_parallel=1) as generator:
        assert generator.generate(PROMPTS, GREEDY) == HFGenerator(model, base).generate(PROMPTS, GREEDY)


def test_a_tokenizer_without_bos_and_pad_is_written(tiny, tmp_path):
    model, tokenizer = tiny
    bare = copy.deepcopy(tokenizer)
    bare.pad_token = bare.bos_token = bare.unk_token = None
    path = export_gguf((model, bare), tmp_path / "bare.gguf", quantization="f32")
    with LlamaGenerator(path, n_parallel=1) as generator:
        assert generator.generate(PROMPTS, GREEDY) == HFGenerator(model, bare).generate(PROMPTS, GREEDY)


def test_added_tokens_keep_their_names_and_kinds(tiny, tmp_path):
    from gguf import GGUFReader, TokenType

    model, tokenizer = copy.deepcopy(tiny)
    tokenizer.add_tokens(["<|think|>"], special_tokens=True)
    tokenizer.add_tokens(["zyx9"])
    model.resize_token_embeddings(49155, mean_resizing=False)  # one row more than there are tokens
    path = export_gguf((model, tokenizer), tmp_path / "more.gguf", quantization="f32")
    fields = GGUFReader(path).fields
    assert fields["tokenizer.ggml.tokens"].contents()[-3:] == ["<|think|>", "zyx9", "[PAD49154]"]
    kinds = fields["tokenizer.ggml.token_type"].contents()
    assert kinds[-3:] == [TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNUSED]
    assert kinds[2] == TokenType.CONTROL and kinds[1000] == TokenType.NORMAL
    asked = ["a zyx9 b", "a <|think|> b"]
    with LlamaGenerator(path, n_parallel=1) as generator:
        assert generator.generate(asked, GREEDY) == HFGenerator(model, tokenizer).generate(asked, GREEDY)


@pytest.mark.slow
def test_llama_cpp_writes_what_transformers_writes_with_the_real_model(smollm2, tmp_path):
    path = export_gguf(smollm2, tmp_path / "real.gguf", quantization="f32")
    with LlamaGenerator(path, n_parallel=1) as generator:
        assert generator.generate(PROMPTS, GREEDY) == HFGenerator(*smollm2).generate(PROMPTS, GREEDY)


def test_an_adapter_is_merged_first(tiny_folder, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model

    base, tokenizer = open_causal(f"hf:{tiny_folder}")
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], init_lora_weights=False))
    model.save_pretrained(tmp_path / "adapter")
    ids = torch.arange(10, 20)[None]
    again, _ = open_causal(f"peft:{tmp_path / 'adapter'}")
    assert torch.equal(again(ids).logits, model.eval()(ids).logits)
    assert why_not_gguf(tmp_path / "adapter") == ""
    merged = weights_of(export_gguf((model, tokenizer), tmp_path / "merged.gguf", quantization="f32"))
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    expected = layer.base_layer.weight + layer.get_delta_weight("default")
    assert merged["blk.0.attn_q.weight"] == pytest.approx(interleave(expected.detach().numpy(), 4), abs=1e-6)
    assert torch.equal(model(ids).logits, again(ids).logits), "exporting must leave the caller's model as it was"


def test_what_llama_cpp_would_read_differently_is_refused(tiny, tmp_path):
    model, tokenizer = tiny
    other = copy.copy(model)
    other.config = copy.deepcopy(model.config)
    other.config.rope_parameters = {"rope_type": "llama3", "rope_theta": 1e4}
    with pytest.raises(SpecError, match="only plain rotary positions are supported, these are 'llama3'"):
        export_gguf((other, tokenizer), tmp_path / "x.gguf")
    with pytest.raises(SpecError, match="Did you mean 'q8_0'"):
        export_gguf(tiny, tmp_path / "x.gguf", quantization="q8")
    assert list(tmp_path.iterdir()) == []


def test_another_vocabulary_is_refused(tiny_folder, tmp_path):
    vocabulary = json.loads((tiny_folder / "tokenizer.json").read_text())
    vocabulary["model"]["merges"].pop()
    (tmp_path / "tokenizer.json").write_text(json.dumps(vocabulary))
    (tmp_path / "config.json").write_text((tiny_folder / "config.json").read_text())
    assert why_not_gguf(tiny_folder) == ""
    assert "vocabulary differs" in why_not_gguf(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert "only the llama architecture" in why_not_gguf(tmp_path)
    assert "cannot be read" in why_not_gguf(tmp_path / "missing")


def test_an_export_is_reused_until_the_checkpoint_changes(tiny_folder, tmp_path):
    first = cached_gguf(tiny_folder, tmp_path)
    written = first.stat().st_mtime_ns
    assert cached_gguf(tiny_folder, tmp_path) == first
    assert first.stat().st_mtime_ns == written
    os.utime(tiny_folder / "model.safetensors")
    second = cached_gguf(tiny_folder, tmp_path)
    assert list((tmp_path / "gguf").iterdir()) == [second] != [first]


@pytest.fixture
def adapter(tiny_folder, tmp_path):
    """An adapter folder and the base folder it stands on."""
    from peft import LoraConfig, get_peft_model

    base = shutil.copytree(tiny_folder, tmp_path / "base")
    model = get_peft_model(open_causal(f"hf:{base}")[0], LoraConfig(r=2, target_modules=["q_proj"]))
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", base


def test_an_adapter_is_exported_again_when_its_base_changes(adapter, tmp_path):
    folder, base = adapter
    assert weight_paths(str(folder)) == [folder, base]
    first = cached_gguf(folder, tmp_path)
    assert cached_gguf(folder, tmp_path) == first
    os.utime(base / "model.safetensors")
    second = cached_gguf(folder, tmp_path)
    assert list((tmp_path / "gguf").iterdir()) == [second] != [first]


def test_exports_of_folders_that_are_gone_are_removed(tiny_folder, tmp_path):
    gone = shutil.copytree(tiny_folder, tmp_path / "gone")
    stays = shutil.copytree(tiny_folder, tmp_path / "stays")
    old, kept = cached_gguf(gone, tmp_path), cached_gguf(stays, tmp_path)
    shutil.rmtree(gone)
    assert cached_gguf(stays, tmp_path) == kept and old.is_file(), "nothing is looked for until an export is made"
    new = cached_gguf(tiny_folder, tmp_path)
    assert set((tmp_path / "gguf").iterdir()) == {kept, new}
    assert len(list((tmp_path / "gguf-sources").iterdir())) == 2
