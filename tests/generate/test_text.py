"""Labelled texts from a scripted writer: what is asked, which answers will do, what each row says of itself."""

import json
import random
from collections import Counter

import pytest

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.data import Rows
from unflaw.generate import TextTask, text, text_prompts

TASK = TextTask("one sentence of a review", {"good": "it is praised", "bad": "", "mixed": "both"}, (3, 12))


class Writer:
    """Answers by rule and remembers what it was asked."""

    name = "writer"

    def __init__(self, rule=None):
        self.rule, self.calls = rule or (lambda prompt, seed: f"Text number {seed} of a kind"), []

    def generate(self, prompts, sampling):
        answers = []
        for i, prompt in enumerate(prompts):
            self.calls.append((prompt, sampling.seed + i))
            said = self.rule(prompt, sampling.seed + i)
            answers.append(said if said.startswith("{") else json.dumps({"text": said}))
        return answers


def real(n=12, labels=("good", "bad", "mixed")):
    records = [{"text": f"Real row {k} about {chr(97 + k)}", "label": labels[k % len(labels)]} for k in range(n)]
    return Rows.from_records(records, {"text": "text", "label": "label"})


def test_labels_are_as_many_of_each_and_rows_say_where_they_came_from():
    made = text(TASK, Writer(), n=8, seed=5)
    rows = made.rows
    assert Counter(rows.column("label")) == {"good": 3, "bad": 3, "mixed": 2}
    assert rows.column("text")[2] == "Text number 7 of a kind" and rows.column("unflaw.seed") == list(range(5, 13))
    assert set(rows.column("unflaw.model")) == {"writer"} and made.shortfall == 0
    assert rows.schema == "text/label" and "unflaw.shots" not in rows.table.column_names


def test_a_conversation_holds_the_texts_before_and_asks_for_another_kind():
    writer = Writer()
    rows = text(TASK, writer, n=9, turns=2).rows
    said = dict(zip(range(9), rows.column("text"), strict=True))
    by_seed = {seed: prompt for prompt, seed in writer.calls}
    assert len(by_seed[0]) == 2 and by_seed[0][0]["role"] == "system"
    fourth = by_seed[3]  # row 3 is the second of label "good", so the second turn of its conversation
    assert [turn["role"] for turn in fourth] == ["system", "user", "assistant", "user"]
    assert (
        json.loads(fourth[2]["content"])["text"] == said[0] and "differs from all those above" in fourth[3]["content"]
    )
    assert len(by_seed[6]) == 2  # the third of "good" begins the next conversation


def test_few_shot_shows_real_rows_of_all_labels_anew_for_each_row():
    writer, rows = Writer(), real()
    made = text(TASK, writer, n=6, shots=3, examples=rows).rows
    by_id = dict(zip(rows.ids, zip(rows.column("text"), rows.column("label"), strict=True), strict=True))
    for (prompt, _), shots in zip(writer.calls, made.column("unflaw.shots"), strict=True):
        shown = [json.loads(turn["content"])["text"] for turn in prompt if turn["role"] == "assistant"]
        assert shown == [by_id[i][0] for i in shots]
        assert {by_id[i][1] for i in shots} == set(TASK.labels)
        assert "do not reword" in prompt[-1]["content"]
    assert len({tuple(s) for s in made.column("unflaw.shots")}) > 1


def test_asking_for_more_keeps_the_first_rows():
    few, many = (text(TASK, Writer(), n=n, turns=1, seed=3).rows for n in (4, 9))
    assert many.ids[:4] == few.ids


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Too short", "too short"),
        ("a " * 30, "too long"),
        ('{"txt": "a b c d"}', "no text"),
        ('{"text": "', "cut off"),
        ("Write one sentence of a review, in 3 to 12 words", "echo of the prompt"),
    ],
)
def test_an_answer_that_will_not_do_is_asked_again_and_kept_with_its_reason(said, reason):
    made = text(TASK, Writer(lambda prompt, seed: said if seed == 1 else f"Fine text number {seed}"), n=3)
    assert made.reasons == {reason: 1} and made.rejected[0].about == "bad" and made.shortfall == 0
    assert made.rows.column("unflaw.attempt") == [0, 1, 0]


def test_progress_tells_what_was_refused():
    seen = []
    writer = Writer(lambda prompt, seed: "Too short" if seed in (0, 2) else f"Fine text number {seed}")
    text(TASK, writer, n=3, turns=1, progress=lambda *told: seen.append(told))
    assert seen[-1] == (3, 3, 2) and all(done + refused == at for at, (done, _, refused) in enumerate(seen, 1))


def test_a_text_that_runs_on_is_cut_after_a_sentence():
    said = "This one is fine. And here it goes on and on and on and on and on."
    made = text(TASK, Writer(lambda prompt, seed: said if seed == 0 else f"Fine text number {seed}"), n=2)
    assert made.rows.column("text")[0] == "This one is fine."


def test_equal_texts_come_once():
    made = text(TASK, Writer(lambda prompt, seed: "Always the same." if seed < 10 else f"Text number {seed}"), n=4)
    assert made.reasons["duplicate text"] == 3 and len(set(made.rows.column("text"))) == 4


def test_copies_of_shots_are_refused_and_counted():
    rows = real()

    def rule(prompt, seed):
        shown = json.loads(prompt[2]["content"])["text"]
        return {0: shown, 1: f"{shown} too"}.get(seed, f"Nothing like it number {seed}")

    made = text(TASK, Writer(rule), n=4, shots=2, examples=rows)
    # "Real row 0 about a too" shares 5 of 5 and 6 words: 2 * 5 / 11 > .7
    assert made.reasons == {"copy of a shot": 1, "near copy of a shot": 1}
    assert made.settings["near_copies"] == 2 and made.settings["answers"] == 6
    kept = text(TASK, Writer(rule), n=4, shots=2, examples=rows, max_copy=1.0)
    assert kept.reasons == {"copy of a shot": 1} and max(kept.rows.column("unflaw.copy")) == pytest.approx(10 / 11)
    assert kept.settings["near_copies"] == 2


def test_a_shortfall_is_said_and_none_at_all_is_an_error():
    made = text(
        TASK, Writer(lambda prompt, seed: "no" if seed % 3 == 2 else f"Fine text number {seed}"), n=6, max_retries=0
    )
    assert made.shortfall == 2 and Counter(made.rows.column("label"))["mixed"] == 0
    with pytest.raises(TooFewRowsError, match=r"too short \(3\)"):
        text(TASK, Writer(lambda prompt, seed: "no"), n=3, max_retries=0)


def test_prompts_can_be_seen_without_asking():
    prompts = text_prompts(TASK, n=100)
    assert len(prompts) == 3 and "which means: it is praised" in prompts[0][-1]["content"]
    assert '"bad".' in prompts[1][-1]["content"]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"n": 0}, "`n` must be at least 1"),
        ({"shots": 2}, "need `examples`"),
        ({"shots": 13, "examples": real()}, "must not exceed the 12 `examples`, got 13"),
        ({"shots": 1, "examples": real(labels=("good", "bad"))}, "got none of mixed"),
        (
            {"shots": 1, "examples": real(labels=("good", "bad", "mixed", "odd"))},
            "'odd', which is no label of the task",
        ),
        ({"shots": 1, "examples": real().with_column("text", [" "] * 12, "text")}, "got 12 without"),
        ({"max_copy": 2.0}, r"`max_copy` must be in \[0, 1\]"),
    ],
)
def test_what_will_not_do_is_told_before_anything_is_asked(how, told):
    writer = Writer()
    with pytest.raises(SettingsError, match=told):
        text(TASK, writer, **{"n": 3, **how})
    assert not writer.calls


@pytest.mark.slow
def test_the_embedded_model_writes_texts():
    from unflaw.models import open_generator

    generator = open_generator("smollm2")
    try:
        made = text(TextTask("one sentence about the weather", {"sun": "", "rain": ""}, (4, 30)), generator, n=4)
    finally:
        generator.close()
    assert len(made.rows) >= 3 and made.usage["completion_tokens"] > 0


def test_shots_are_drawn_as_from_lists_of_those_that_are_left():
    examples = real(11)
    made = text(TASK, Writer(), n=40, examples=examples, shots=7, seed=3)
    label_of = dict(zip(examples.ids, examples.column("label"), strict=True))
    for k, shots in enumerate(made.rows.column("unflaw.shots")):  # slowly
        rng = random.Random(f"3 {k}")
        order, drawn = rng.sample(list(TASK.labels), 3), []
        while len(drawn) < 7:
            for label in order:
                left = [i for i in examples.ids if label_of[i] == label and i not in drawn]
                if left and len(drawn) < 7:
                    drawn.append(rng.choice(left))
        assert shots == rng.sample(drawn, 7)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("这部电影非常好看，演员也好。", "这部电影非常好看，演员也好。"),
        ("好电影。这部电影非常好看而且演员也都非常好。", "好电影。"),
        ("Donaudampfschifffahrtsgesellschaft Rechtsschutzversicherungsgesellschaften Kraftfahrzeug.", None),
    ],
)
def test_words_are_counted_where_there_are_no_blanks_and_may_be_long(said, kept):
    task = TextTask("one sentence of a review", {"good": "", "bad": ""}, (3, 14) if kept else (3, 10))
    made = text(task, Writer(lambda prompt, seed: f"{said}" if seed % 2 == 0 else f"Ein anderer Satz {seed}"), n=2)
    assert made.rows.column("text")[0] == (kept or said)


def test_near_copies_are_seen_where_there_are_no_blanks():
    shown = [{"text": "这部电影非常好看，演员也好。", "label": label} for label in ("good", "bad")]
    examples = Rows.from_records(shown, {"text": "text", "label": "label"})
    task = TextTask("one sentence of a review", {"good": "", "bad": ""}, (3, 14))
    said = ("这部电影非常难看，演员也好。", "今天我去了图书馆读书写字。")
    made = text(task, Writer(lambda prompt, seed: said[seed % 2]), n=1, examples=examples, shots=1, seed=0)
    assert made.rows.column("text") == [said[1]] and made.rejected[0].reason == "near copy of a shot"


def test_the_name_of_a_prompt_is_of_its_words():
    one, two = (
        text(TextTask(TASK.task, TASK.labels, TASK.words, examples=path), Writer(), n=1).settings["prompt_id"]
        for path in ("a.jsonl", "elsewhere/a.jsonl")
    )
    assert one == two
