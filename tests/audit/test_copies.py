import json
import random

import pytest

from unflaw._errors import SchemaError, SettingsError
from unflaw.audit import CopiesCheck, audit
from unflaw.audit._form import form_check
from unflaw.data import Rows


def copies(rows, reference=None, holdout=None):
    return {f.check: f for f in audit(rows, reference, holdout=holdout, checks=[CopiesCheck()]).findings}


def test_two_draws_of_one_grammar_raise_nothing(qa):
    found = copies(qa(400, 1), qa(400, 2), qa(400, 3))
    assert {f.verdict for f in found.values()} == {"ok"}
    assert set(found) == {
        "copies.inside",
        "copies.inside_prompt",
        "copies.reference",
        "copies.holdout",
        "copies.holdout_prompt",
    }


def test_a_fifth_of_copies_fails_and_each_names_its_original(qa, records):
    once = records(160, 1)
    rows = qa(once + [{**r, "question": r["question"].upper() + "  "} for r in once[:40]])
    finding = copies(rows)["copies.inside"]
    assert finding.verdict == "fail"
    assert finding.value == 40 / 200
    assert finding.evidence["n_exact"] == 40
    pairs = {frozenset(pair) for pair in zip(rows.ids[:40], rows.ids[160:], strict=True)}
    assert {frozenset(pair[:2]) for pair in finding.evidence["pairs"]} == pairs
    for row_id, reason in finding.row_reasons.items():
        assert frozenset({row_id, reason.split()[-1]}) in pairs


def test_a_set_that_repeats_no_more_than_the_reference_is_fine(qa, records):
    real = records(100, 2)
    found = copies(qa(records(100, 1) + records(5, 1)), qa(real + real[:5]))
    assert found["copies.inside"].value == found["copies.inside"].control == 5 / 105
    assert found["copies.inside"].verdict == "ok"


def test_one_leaked_row_fails_near_copies_too(qa, records):
    """A text of n words with its last word changed keeps n - 3 of n - 1 possible word triples."""
    held = [
        {
            "question": "Who wrote the long book about the old mill by the river in the north of the land",
            "answer": "Ann",
        }
    ]
    leak = [{**held[0], "answer": "Bob"}]
    rows = qa(records(99, 1) + leak)
    finding = copies(rows, qa(100, 2), qa(held + records(50, 3)))["copies.holdout"]
    n = 19
    assert finding.verdict == "fail"
    assert finding.value == 0.01
    assert finding.row_scores[rows.ids[-1]] == pytest.approx((n - 3) / (n - 1))
    assert finding.row_reasons[rows.ids[-1]].startswith("nearly copies held-out row")
    assert finding.control == 0


def test_questions_of_one_pattern_are_not_copies(qa):
    rows = qa([{"question": f"How many people lived in place{i}?", "answer": str(i)} for i in range(100)])
    assert copies(rows)["copies.inside"].value == 0


def test_the_same_words_about_another_passage_are_no_copy(records):
    roles = {"prompt": "q", "response": "a", "context": "c"}
    rows = Rows.from_records([{"q": "Is this true?", "a": "Yes.", "c": f"Passage {i}"} for i in range(60)], roles)
    assert copies(rows)["copies.inside"].value == 0
    bare = Rows.from_records([{"q": "Is this true?", "a": "Yes."}], {"prompt": "q", "response": "a"})
    assert copies(rows, holdout=bare)["copies.holdout"].value == 1, "a held-out row without passage may be about any"


def test_a_question_asked_again_warns_and_a_held_out_question_fails(qa, records):
    first = records(50, 1)
    again = [{**r, "answer": "wholly other words than before, so the rows differ a good deal here"} for r in first[:10]]
    found = copies(qa(first + again), holdout=qa([{**first[0], "answer": "something else altogether, said at length"}]))
    assert found["copies.inside_prompt"].verdict == "warn"
    assert found["copies.inside_prompt"].value == 10 / 60
    assert found["copies.holdout_prompt"].verdict == "fail"


def test_rows_taken_from_the_reference_fail(qa, records):
    real = records(200, 2)
    finding = copies(qa(records(80, 1) + real[:20]), qa(real))["copies.reference"]
    assert (finding.verdict, finding.value) == ("fail", 0.2)
    assert finding.low < 0.2 < finding.high
    assert finding.evidence["n_rows_with_a_real_question"] == 20


def test_stock_phrases_accuse_nobody_because_twice_as_many_rows_hold_more_of_them(qa, records):
    """A tenth of either set is drawn from 60 stock rows. Half the reference holds 57 % of them, the whole 81 %."""
    rng = random.Random(0)
    stock = [{"question": f"Where is n{i} m{i} k{i}?", "answer": f"It is x{i} y{i} z{i}"} for i in range(60)]
    synthetic, real = (records(450, seed) + rng.choices(stock, k=50) for seed in (1, 2))
    finding = copies(qa(synthetic), qa(real))["copies.reference"]
    assert finding.value - finding.control > 0.01 and finding.verdict == "ok"


def test_a_rigid_template_does_not_make_the_search_slow_or_wrong(qa):
    """600 rows that share most of their words, none a copy, and one true copy among them."""
    rows = [
        {"question": f"Tell me about n{i} m{i} k{i}", "answer": f"Sure, here it is then: x{i} y{i}"} for i in range(600)
    ]
    finding = copies(qa(rows + [{**rows[77], "answer": rows[77]["answer"] + "!"}]))["copies.inside"]
    assert len(finding.row_scores) == 1


def test_a_threshold_the_search_cannot_keep_is_refused():
    with pytest.raises(SettingsError, match="would miss copies"):
        CopiesCheck(threshold=0.2)


def test_of_a_group_the_row_that_other_checks_speak_against_the_least_is_the_best(qa, records):
    """Three rows say the same; one of them has a bracket that is not closed, so that another is to be kept."""
    first = {"question": "Who wrote the long book about the old mill by the river", "answer": "Ann of the north did it"}
    spoilt = {**first, "answer": "(" + first["answer"]}
    rows = qa([spoilt, first, {**first, "answer": first["answer"].upper()}, *records(30, 1)])
    found = {f.check: f for f in audit(rows, checks=[CopiesCheck(), form_check()]).findings}
    (group,) = found["copies.inside"].evidence["groups"]
    assert group["n_rows"] == 3 and set(group["rows"]) == set(rows.ids[:3])
    assert group["best"] == min(rows.ids[1:3]) != rows.ids[0]


def test_copies_under_another_label_are_told_for_all_rows():
    said = [(f"text number {i} of the many that there are", "good" if i % 2 else "bad") for i in range(60)]
    said += [(text.upper(), "bad" if label == "good" else "good") for text, label in said[:6]]
    said += [(f" {text}", label) for text, label in said[10:14]]
    said += [(f"{text} ", None) for text, _ in said[20:25]]  # no label is no other label
    rows = Rows.from_records([{"text": t, "label": of} for t, of in said], {"text": "text", "label": "label"})
    finding = copies(rows)["copies.conflicts"]
    assert (finding.value, finding.verdict, finding.n_scored) == (6 / 75, "fail", 6)
    assert all(
        said.startswith("copies row ") and said.endswith(", under another label")
        for said in finding.row_reasons.values()
    )


def coarse(n, seed, n_kinds):
    rng = random.Random(seed)
    records = [{"age": rng.randrange(n_kinds), "sex": rng.choice("mf"), "class": rng.choice("123")} for _ in range(n)]
    return Rows.from_records([{"unflaw.id": f"{seed}-{i:04d}", **r} for i, r in enumerate(records)], {})


def test_rows_of_a_coarse_table_equal_each_other_by_chance():
    """One row in five does, in real rows as well; what a generator doubles is more. Alone, nobody can tell."""
    told, real = coarse(400, 1, 200), coarse(400, 2, 200)
    finding = copies(told, real)["copies.inside"]
    assert 0.1 < finding.value < 0.3 and finding.verdict == "ok"
    assert copies(told)["copies.inside"].verdict == "ok"
    twice = told.table.slice(0, 200).to_pylist()
    more = [{**r, "unflaw.id": f"{r['unflaw.id']}-{k}"} for r in twice for k in "ab"]
    assert copies(Rows.from_records(more, {}), real)["copies.inside"].verdict == "fail"


def test_of_a_plain_table_only_rows_that_are_equal_are_copies():
    """Rows share the names of their columns, and a sign is no word: what near copies of texts are is none here."""
    records = [
        {"a rather long name of a column": i, "another one of them": -i, "the last": i % 2} for i in range(-40, 40)
    ]
    found = copies(Rows.from_records(records, {}), coarse(100, 3, 50))
    assert set(found) == {"copies.inside"} and found["copies.inside"].value == 0


def test_texts_are_not_asked_of_a_table_of_numbers():
    rng = random.Random(0)
    records = [
        {"x": round(rng.gauss(5, 1), 1), "y": round(rng.gauss(3, 1), 1), "kind": rng.choice("abc")} for _ in range(90)
    ]
    found = audit(Rows.from_records([{"unflaw.id": str(i), **r} for i, r in enumerate(records)], {}))
    assert found.verdict == "ok"
    assert {f.check.split(".")[0] for f in found.findings} == {"copies", "residue", "hygiene"}
    assert "needs texts" in found.skipped["paraphrases"]
    with pytest.raises(SchemaError, match="`reference` must hold the same kind of rows as the set, got texts beside"):
        audit(coarse(50, 1, 9), Rows.from_records([{"text": f"number {i}"} for i in range(50)], {"text": "text"}))


def test_a_held_out_row_whose_passage_was_cut_is_leaked(qa):
    """The same question and answer about another passage is no copy; about the same one without its end it is."""
    passage = "The river rises in the hills near the old mill. It runs past two towns. Then it meets the sea at Bath."
    other = "A queen of the north had nine ships built in one winter, and none of them ever came back to the harbour."
    said = {"question": "Where does the river of this text meet the sea?", "answer": "At Bath, near the harbour"}
    cut = passage.rpartition(". ")[0] + "."
    roles = {"prompt": "question", "response": "answer", "context": "context"}
    for context, verdict in ((passage, "fail"), (cut, "fail"), (other, "ok"), ("", "fail")):
        rows = Rows.from_records([said | {"context": context}], roles)
        held = Rows.from_records([said | {"context": passage}], roles)
        found = {f.check: f for f in audit(rows, holdout=held, checks=[CopiesCheck()]).findings}
        assert found["copies.holdout"].verdict == verdict, context


def test_what_the_system_says_is_no_passage(tmp_path):
    def chat(system, i):
        turns = [("system", system), ("user", f"Who built the mill number {i} by the river?"), ("assistant", "A monk.")]
        return {"messages": [{"role": role, "content": said} for role, said in turns]}

    for name, system in (("rows", "You are a helpful assistant."), ("held", "You answer as a pirate does, arr.")):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(chat(system, i)) + "\n" for i in range(60)))
    found = {f.check: f for f in audit(tmp_path / "rows.jsonl", holdout=tmp_path / "held.jsonl").findings}
    assert found["copies.holdout"].value == 1.0
    assert not {"qa.ungrounded", "grounding.passage", "grounding.neither"} & found.keys()
