import json
import urllib.request

import pytest

from unflaw._errors import ModelCallError, SettingsError, SpecError
from unflaw.models import Generator, LlamaGenerator, Sampling, open_generator, serve

WARM = Sampling(max_tokens=8, temperature=1.0, seed=3)


@pytest.fixture(scope="module")
def llama(tiny_gguf):
    with LlamaGenerator(tiny_gguf, n_parallel=2) as generator:
        yield generator


def test_answers_come_in_order_and_are_told_once(llama):
    prompts = ["a much longer prompt than the others " * 5, "b", "c c c", "b"]
    told = {}
    answers = llama.generate(prompts, Sampling(max_tokens=6), on_result=told.__setitem__)
    assert isinstance(llama, Generator)
    assert [told[i] for i in range(4)] == answers
    assert answers[1] == answers[3]
    assert len(set(answers)) == 3
    assert llama.generate([], WARM) == []


def test_rows_are_drawn_with_their_own_seeds(llama):
    answers = llama.generate(["hi"] * 3, WARM)
    assert len(set(answers)) == 3
    assert llama.generate(["hi"] * 3, WARM) == answers
    assert llama.generate(["hi", "hi"], WARM, seeds=[5, 3]) == [answers[2], answers[0]]


def test_a_nearly_closed_top_p_is_greedy(llama):
    narrow = Sampling(max_tokens=6, temperature=1.0, top_p=1e-6)
    assert llama.generate(["hi"], narrow) == llama.generate(["hi"], Sampling(max_tokens=6))


def test_usage_adds_up(tiny_gguf, tokenizer):
    with LlamaGenerator(tiny_gguf, n_parallel=1) as generator:
        generator.generate(["hi", "there"], Sampling(max_tokens=5))
        generator.generate(["hi"], Sampling(max_tokens=1))
        turns = [[{"role": "user", "content": text}] for text in ("hi", "there", "hi")]
        n_prompt = sum(len(tokenizer.apply_chat_template(t, add_generation_prompt=True).input_ids) for t in turns)
        assert (generator.usage.prompt_tokens, generator.usage.completion_tokens) == (n_prompt, 11)
        assert generator.usage.tokens_per_second == 11 / generator.usage.seconds


def test_a_stop_string_ends_the_answer_before_itself(llama):
    (whole,) = llama.generate(["hi"], Sampling(max_tokens=8))
    stop = whole[3:5]
    assert llama.generate(["hi"], Sampling(max_tokens=8, stop=(stop,))) == [whole[: whole.index(stop)]]


def test_a_schema_binds_even_a_model_of_random_weights(llama):
    schema = {
        "type": "object",
        "properties": {"yes": {"type": "boolean"}, "grade": {"enum": ["good", "bad"]}},
        "required": ["yes", "grade"],
        "additionalProperties": False,
    }
    for answer in llama.generate(["x", "y"], Sampling(max_tokens=64, temperature=1.0, json_schema=schema)):
        row = json.loads(answer)
        assert row["grade"] in ("good", "bad")
        assert row["yes"] in (True, False)


def test_the_context_grows_for_a_long_prompt_and_a_long_answer(tiny_gguf):
    with LlamaGenerator(tiny_gguf, n_parallel=1) as generator:
        before = generator.usage
        (answer,) = generator.generate(["1 " * 700], Sampling(max_tokens=3))  # two tokens per "1 "
        assert answer
        assert generator.usage.prompt_tokens - before.prompt_tokens > 1024


def test_a_prompt_beyond_the_model_names_its_row(llama):
    with pytest.raises(ModelCallError, match=r"row 1: the prompt and `max_tokens` need \d+ .* at most 4096"):
        llama.generate(["short", "1 " * 3000], Sampling(max_tokens=3))


def test_what_llama_cpp_refuses_names_the_row(llama):
    with pytest.raises(ModelCallError, match="row 0: .* cannot enforce this `json_schema`"):
        llama.generate(["x"], Sampling(max_tokens=5, json_schema={"type": "nonsense"}))
    assert "max_tokens" in llama._server.ask("x", {"max_tokens": "many"})["error"]["message"]
    with pytest.raises(SettingsError, match="one seed per prompt"):
        llama.generate(["x"], WARM, seeds=[])


def test_what_cannot_be_opened(tmp_path, tiny_gguf):
    (tmp_path / "no.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(SpecError, match="must be a model that llama.cpp can open"):
        LlamaGenerator(tmp_path / "no.gguf")
    with pytest.raises(SettingsError, match="`n_parallel` must be at least 1, got 0"):
        LlamaGenerator(tiny_gguf, n_parallel=0)


def test_a_closed_model_says_so(tiny_gguf):
    generator = LlamaGenerator(tiny_gguf, n_parallel=1)
    generator.close()
    with pytest.raises(ModelCallError, match="closed"):
        generator.generate(["x"], WARM)


def test_nothing_is_written_to_the_terminal(tiny_gguf, capfd):
    with LlamaGenerator(tiny_gguf, n_parallel=1) as generator:
        generator.generate(["hi"], Sampling(max_tokens=2))
    assert capfd.readouterr() == ("", "")


def test_served_over_http_on_this_machine_only(tiny_gguf):
    with serve(f"gguf:{tiny_gguf}", n_parallel=1) as base_url:
        assert base_url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{base_url}/models") as response:
            assert json.load(response)["object"] == "list"


def test_the_port_of_a_generator_is_locked(llama):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{llama._server.address}/v1/models")


def test_the_embedded_model_knows_paris():
    with open_generator("smollm2", n_parallel=1) as generator:
        (answer,) = generator.generate(["The capital of France is Paris. What is the capital of France?"], Sampling())
    assert "Paris" in answer
