from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw._errors import SpecError
from unflaw.models import (
    HFGenerator,
    LlamaGenerator,
    ModelSpec,
    encode_prompt,
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

GOOD = {
    "smollm2": ModelSpec("smollm2", "smollm2"),
    "potion": ModelSpec("potion", "potion"),
    "minilm": ModelSpec("minilm", "minilm"),
    "hf:org/name": ModelSpec("hf", "org/name"),
    "hf:/a/b:c": ModelSpec("hf", "/a/b:c"),
    "peft:runs/x": ModelSpec("peft", "runs/x"),
    "gguf:m.gguf": ModelSpec("gguf", "m.gguf"),
    "openai:llama3:8b@http://localhost:11434/v1": ModelSpec("openai", "llama3:8b", "http://localhost:11434/v1"),
    "openai:a@b@https://host/v1": ModelSpec("openai", "a@b", "https://host/v1"),
}


@pytest.mark.parametrize("spec", GOOD)
def test_specs_are_taken_apart_and_put_together(spec):
    assert parse_spec(spec) == GOOD[spec]
    assert str(parse_spec(spec)) == spec
    assert parse_spec(GOOD[spec]) is GOOD[spec]


@pytest.mark.parametrize(
    ("spec", "expected_error"),
    [
        ("smolm2", "Did you mean 'smollm2'"),
        ("minlm", "Did you mean 'minilm'"),
        ("opneai:x@http://y", "Did you mean 'openai'"),
        ("zzz", "Forms: smollm2, hf:PATH_OR_ID, peft:PATH"),
        ("", "names no model"),
        ("hf:", "names no model"),
        ("smollm2:x", "names no model"),
        ("org/name", "write hf:org/name"),
        ("openai:gpt", "must look like openai:MODEL@BASE_URL"),
        ("openai:gpt@ftp://x", "must look like openai:MODEL@BASE_URL"),
    ],
)
def test_what_names_nothing_is_refused_with_a_way_out(spec, expected_error):
    with pytest.raises(SpecError, match=expected_error):
        parse_spec(spec)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(SpecError, match="keys come from the environment") as caught:
        parse_spec("openai:m@https://me:hunter2@host/v1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "kind"), [("config.json", "hf"), ("adapter_config.json", "peft"), ("model.gguf", "gguf")]
)
def test_a_bare_path_is_recognised(tmp_path, file, kind):
    (tmp_path / file).write_text("{}")
    path = str(tmp_path / file if kind == "gguf" else tmp_path)
    assert parse_spec(path) == ModelSpec(kind, path)


@pytest.mark.parametrize(
    ("door", "spec", "expected_error"),
    [
        (open_generator, "potion", "open it with open_encoder"),
        (open_generator, "gguf:missing.gguf", "existing file"),
        (open_generator, "hf:./missing/folder", "existing folder or a hub id"),
        (open_causal, "minilm", "is an encoder"),
        (open_causal, "hf:org/name", "no hub gave it to us"),
        (open_scorer, "gguf:missing.gguf", "can only write"),
        (open_scorer, "openai:m@http://h", "can only write"),
        (open_encoder, "smollm2", "is no encoder"),
        (open_causal, "peft:missing", "must hold an adapter_config.json"),
        (find_causal, "peft:missing", "must hold an adapter_config.json"),
        (find_causal, "hf:./missing", "existing folder or a hub id"),
        (find_causal, "hf:a/b/c", "existing folder or a hub id"),
        (find_causal, "potion", "is an encoder"),
    ],
)
def test_doors_say_why_they_stay_shut(door, spec, expected_error):
    with pytest.raises(SpecError, match=expected_error):
        door(spec)


def test_a_server_needs_a_model_that_llama_cpp_can_run():
    with pytest.raises(SpecError, match="cannot be served"), serve("openai:m@http://h"):
        pass


def test_a_llama_checkpoint_is_written_with_by_llama_cpp(tiny_folder, tmp_path):
    assert local_folder(f"hf:{tiny_folder}") == tiny_folder
    with open_generator(str(tiny_folder), n_parallel=1, cache_dir=tmp_path) as generator:
        assert isinstance(generator, LlamaGenerator)
        assert generator.path.parent == tmp_path / "gguf"


def test_another_architecture_is_written_with_by_transformers(tokenizer, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1, eos_token_id=2, bos_token_id=1)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert local_folder("hf:org/name") is None
    assert isinstance(open_generator(f"hf:{tmp_path}"), HFGenerator)


def test_an_adapter_finds_its_base_from_another_directory(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_folder.parent)
    base, _ = open_causal(f"hf:{tiny_folder.name}")
    assert base.name_or_path == base.config.name_or_path == str(tiny_folder)
    get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    open_causal("peft:adapter")
    assert weight_paths("peft:adapter") == [Path("adapter"), tiny_folder]


def test_what_decides_the_answers_is_told(tiny_folder, tmp_path):
    assert weight_paths(f"hf:{tiny_folder}") == [tiny_folder]
    assert weight_paths("gguf:m.gguf") == [Path("m.gguf")]
    assert weight_paths("smollm2") == [local_folder("smollm2")]
    assert weight_paths("hf:org/name") == weight_paths("openai:m@http://h") == []


@pytest.fixture
def adapter(tiny_folder, tmp_path):
    """An adapter as peft and TRL leave it: with a token more and a chat template of its own."""
    base, tokenizer = (of.from_pretrained(tiny_folder) for of in (AutoModelForCausalLM, AutoTokenizer))
    tokenizer.add_tokens(["<answer>"])
    tokenizer.chat_template = "{% for turn in messages %}<answer>{{ turn.content }}{% endfor %}"
    base.resize_token_embeddings(len(tokenizer))
    trained = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"]))
    trained.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    tokenizer.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_brings_its_tokenizer_and_chat_template(adapter, tiny_folder):
    model, tokenizer = open_causal(f"peft:{adapter}")
    added = len(AutoTokenizer.from_pretrained(tiny_folder))
    assert encode_prompt(tokenizer, "Hi")[0] == added
    assert model.get_input_embeddings().num_embeddings == added + 1


def test_an_adapter_that_does_not_fit_is_refused_in_words(adapter):
    (adapter / "tokenizer_config.json").unlink()
    with pytest.raises(SpecError, match="no adapter that fits its base.*size mismatch"):
        open_causal(f"peft:{adapter}")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(SpecError, match="no adapter that fits its base"):
        open_causal(f"peft:{adapter}")


def test_an_adapter_without_a_base_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": null}')
    with pytest.raises(SpecError, match="that names its base"):
        open_causal(f"peft:{tmp_path}")
