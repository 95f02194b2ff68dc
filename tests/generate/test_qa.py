import json

import pytest

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.data import Rows
from unflaw.generate import qa

PASSAGES = [
    {"id": "bees", "text": "Bees dance to tell where food is. A round dance means that the food is near."},
    {"id": "salt", "text": "Salt lowers the freezing point of water. That is why roads are salted in winter."},
]
TEMPLATE = "Answer: {answer}\nExplanation: {explanation}"


class Scripted:
    """A plain two-argument generator that answers by rule and remembers what it was asked."""

    name = "scripted"

    def __init__(self, rule):
        self.rule, self.calls = rule, []

    def generate(self, prompts, sampling):
        asked = [(p[-1]["content"], sampling.seed + i) for i, p in enumerate(prompts)]
        self.calls += asked
        return [self.rule(prompt, seed) for prompt, seed in asked]


def good(prompt, seed):
    fact = prompt.rsplit("Fact: ", 1)[1].split("\n")[0]
    return json.dumps({"question": f"What of {seed % 1000}?", "answer": fact.split()[0], "explanation": fact})


def test_n_rows_in_the_template_spread_evenly():
    result = qa(PASSAGES, Scripted(good), n=6, template=TEMPLATE, seed=10)
    rows = result.rows
    assert rows.column("prompt") == [f"What of {10 + k}?" for k in range(6)]
    plain = rows.column("answer_plain")[0]
    assert plain in ("Bees", "Salt") and rows.column("response")[0].startswith(f"Answer: {plain}\nExplanation: {plain}")
    assert sorted(rows.column("passage_id")) == ["bees"] * 3 + ["salt"] * 3
    assert rows.column("unflaw.seed") == list(range(10, 16))
    assert set(rows.column("unflaw.model")) == {"scripted"}
    assert result.shortfall == 0 and not result.rejected


def test_rows_about_one_passage_ask_about_different_sentences():
    rows = qa(PASSAGES[:1], Scripted(good), n=2, template=TEMPLATE).rows
    facts = [answer.split("Explanation: ")[1] for answer in rows.column("answer")]
    assert facts == ["Bees dance to tell where food is.", "A round dance means that the food is near."]


def test_asking_for_more_keeps_the_first_rows():
    few, many = (qa(PASSAGES, Scripted(good), n=n, seed=3).rows for n in (3, 7))
    assert many.ids[:3] == few.ids


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("I cannot do that.", "not a JSON object"),
        ('{"question": "Why so?", "answer": "Bec', "cut off"),
        ('{"question": "Why so?"}', "no answer"),
        ('{"question": "Why so?", "answer": " . "}', "empty answer"),
        ('{"question": "Because", "answer": "near"}', "no question mark"),
        ('{"question": "Why is it so?", "answer": "So"}', "answer is in the question"),
        ('{"question": "What does the passage say?", "answer": "food"}', "question points at the passage"),
        (
            '{"question": "What did Ada Lovelace publish in 1843?", "answer": "food"}',
            "echo of the prompt",
        ),
        ('["Why so?", "near"]', "not a JSON object"),
        ('{"question": "Who danced?", "answer": "Napoleon Bonaparte"}', "answer is not about the passage"),
        ('{"question": "Which emperor danced?", "answer": "bees"}', "question is not about the passage"),
        ('{"question": "Who danced?", "answer": "' + "bees " * 20 + '"}', "too long"),
    ],
)
def test_bad_output_is_asked_again_with_a_new_seed_and_the_reason_is_kept(output, reason):
    def second_time_good(prompt, seed):
        return output if seed < 1000 else good(prompt, seed)

    result = qa(PASSAGES[:1], Scripted(second_time_good), n=2)
    assert len(result.rows) == 2 and result.reasons == {reason: 2}
    assert result.rejected[0].output == output
    assert result.rows.column("unflaw.attempt") == [1, 1]


@pytest.mark.parametrize(
    "output",
    [
        "{'question': 'Why so?', 'answer': 'near'}",
        'Sure! {"question": "Why so?", "answer": "near"} Anything else?',
        '{"question": "Why so?" "answer": "near",}',
        '{"question": "Why\\n so?", "answer": " near "}',
    ],
)
def test_slips_are_mended(output):
    rows = qa(PASSAGES[:1], Scripted(lambda prompt, seed: output), n=1).rows
    assert (rows.column("question"), rows.column("answer")) == (["Why so?"], ["near"])


def test_the_shortfall_is_said_and_every_refusal_listed():
    def always_same(prompt, seed):
        return '{"question": "Why so?", "answer": "near"}'

    result = qa(PASSAGES[:1], Scripted(always_same), n=4, max_retries=2)
    assert len(result.rows) == 1 and result.shortfall == 3
    assert result.reasons == {"duplicate question": 9}


def test_nothing_usable_is_an_error_that_counts_the_reasons():
    with pytest.raises(TooFewRowsError, match=r"not a JSON object \(4\)"):
        qa(PASSAGES, Scripted(lambda prompt, seed: "no"), n=2, max_retries=1)


def test_mistakes_are_listed_together():
    with pytest.raises(SettingsError, match="Did you mean 'answer'"):
        qa(PASSAGES, Scripted(good), n=1, template="{anwser}")
    with pytest.raises(SettingsError) as error:
        qa([{"text": " "}], Scripted(good), n=0, max_retries=-1, shots=[{"passage": "x"}])
    assert len(error.value.problems) == 4


def test_an_answer_closed_at_its_limit_is_cut_back_to_a_whole_clause():
    long = "Bees dance to tell where the food is, " + "and they dance " * 10
    output = json.dumps({"question": "Why so?", "answer": long[:100]})
    rows = qa(PASSAGES[:1], Scripted(lambda prompt, seed: output), n=1).rows
    assert rows.column("answer") == ["Bees dance to tell where the food is"]


def test_a_template_may_name_columns_of_the_passages():
    passages = [{**p, "title": p["id"].upper()} for p in PASSAGES]
    rows = qa(passages, Scripted(good), n=2, template="{answer} ({title})").rows
    assert sorted(rows.column("answer")) == ["Bees (BEES)", "Salt (SALT)"]
    with pytest.raises(SettingsError, match="title"):
        qa([*passages, PASSAGES[0] | {"text": "No title here."}], Scripted(good), n=1, template="{answer} {title}")


def test_a_text_that_stands_in_several_rows_is_one_passage():
    passages = Rows.from_records(
        [{"c": "Ice floats on water.", "q": q} for q in ("a", "b")], {"context": "c", "prompt": "q"}
    )
    assert len(set(qa(passages, Scripted(good), n=2).rows.column("passage_id"))) == 1


def test_rows_with_a_text_or_context_role_are_passages():
    for role in ("text", "context"):
        passages = Rows.from_records([{"words": "Ice floats on water."}], {role: "words"})
        rows = qa(passages, Scripted(good), n=1, template=TEMPLATE).rows
        assert rows.column("passage_id") == passages.ids


def test_progress_counts_up_to_n():
    seen = []
    qa(PASSAGES, Scripted(good), n=5, progress=lambda *told: seen.append(told))
    assert seen == [(i, 5, 0) for i in range(1, 6)]


def test_only_fields_the_template_names_are_asked_for():
    generator = Scripted(good)
    qa(PASSAGES, generator, n=1, template="{answer}")
    assert "explanation" not in generator.calls[0][0]
