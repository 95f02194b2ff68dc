"""One call for everything there is input for."""

import pytest

from unflaw._errors import SettingsError
from unflaw.data import Rows
from unflaw.evaluate import compare, evaluate
from unflaw.models import ScriptedGenerator, UnigramScorer

QA = Rows.from_records([{"q": "1?", "a": "one"}, {"q": "2?", "a": "two"}], {"prompt": "q", "response": "a"})
TEXT = Rows.from_records([{"text": "a b c"}, {"text": "b c d"}], {"text": "text"})


def model():
    return ScriptedGenerator(
        lambda prompt: "In short 7 old things. Is it so?" if len(prompt) % 2 else "one, two, three"
    )


def families(scores):
    return list(dict.fromkeys(s.benchmark.split(".")[0] for s in scores))


def test_what_has_input_is_measured():
    assert families(evaluate(model(), n_prompts=10)) == ["instructions"]
    full = evaluate(
        model(), n_prompts=10, qa=QA, text=TEXT, scorer=UnigramScorer(["a b"]), template=lambda t: "," in t, name="m"
    )
    assert families(full) == ["instructions", "qa", "text", "pattern"]
    assert {s.model for s in full} == {"m"}


def test_a_suite_leaves_the_rest_out():
    asked = model()
    assert families(evaluate(asked, suite=["text"], text=TEXT, scorer=UnigramScorer(["a"]))) == ["text"]
    assert asked.calls == []
    assert families(evaluate(model(), suite=["pattern"], template=lambda t: True, n_prompts=10)) == ["pattern"]


def test_the_pattern_rate_is_of_the_answers_to_the_instructions():
    scores = {s.benchmark: s for s in evaluate(model(), n_prompts=20, template=lambda t: "," in t)}
    outputs = scores["instructions.hard"].outputs
    assert scores["pattern.rate"].items == {i: float("," in text) for i, text in outputs.items()}


def test_all_mistakes_are_listed():
    with pytest.raises(SettingsError) as refused:
        evaluate(model(), suite=["qa", "text", "pattern", "instruction"], text=TEXT)
    assert len(refused.value.problems) == 4
    assert "Did you mean 'instructions'" in str(refused.value)
    with pytest.raises(SettingsError, match="at least one"):
        evaluate(model(), suite=[])


def test_two_models_compare_on_everything():
    given = {"n_prompts": 40, "qa": QA, "text": TEXT, "scorer": UnigramScorer(["a b"]), "template": lambda t: "," in t}
    a, b = evaluate(model(), name="a", **given), evaluate(ScriptedGenerator(lambda p: "one"), name="b", **given)
    pairs = {p.benchmark: p for p in compare(a, b)}
    assert set(pairs) == {s.benchmark for s in a}
    assert pairs["instructions.soft"].verdict == "worse"
    assert pairs["text.log_perplexity"].verdict == "within noise"
    assert pairs["pattern.rate"].verdict == "better"


@pytest.mark.slow
def test_the_embedded_model_is_neither_hopeless_nor_perfect():
    scores = {s.benchmark: s.value for s in evaluate("smollm2", n_prompts=30, max_tokens=32)}
    assert 0.2 < scores["instructions.soft"] < 0.9
    assert scores["instructions.level_1"] >= scores["instructions.level_5"]
