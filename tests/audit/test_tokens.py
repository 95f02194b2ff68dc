import json
import random

import pytest

from unflaw._errors import SettingsError, TooFewRowsError, UsageError
from unflaw.audit import TokensCheck, audit
from unflaw.data import Rows


def tokens(rows, reference, **settings):
    return {f.check: f for f in audit(rows, reference, checks=[TokensCheck(**settings)]).findings}


def verdicts(found):
    return {name.removeprefix("tokens."): f.verdict for name, f in found.items()}


@pytest.fixture
def moulded(qa, records):
    """Rows of one template."""

    def make(n, seed=1, mould="Answer: {answer}\nExplanation: {question}\nTopic: {topic}"):
        rng = random.Random(seed)
        return qa([{**r, "answer": mould.format(**r, topic=rng.choice(r["answer"].split()))} for r in records(n, seed)])

    return make


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_draws_of_one_grammar_raise_nothing(qa, seed):
    found = tokens(qa(200, seed), qa(200, seed + 100))
    assert set(verdicts(found).values()) == {"ok"}
    assert found["tokens.jsd"].low < 0.02 and abs(found["tokens.jsd"].value) < 0.05
    assert found["tokens.templates"].value == 0 == found["tokens.structural"].value
    assert found["tokens.structural"].evidence["structural_tokens"] == []


def test_a_template_is_found_whole_and_exactly(moulded, qa):
    found = tokens(moulded(200), qa(200, 2))
    assert verdicts(found) == {
        "jsd": "warn",
        "openings": "fail",
        "templates": "fail",
        "structural": "fail",
        "row_jsd": "ok",
        "row_templates": "fail",
    }
    assert found["tokens.templates"].value >= 0.95
    assert found["tokens.templates"].control == 0
    evidence = found["tokens.structural"].evidence
    assert evidence["template"] == "Answer: …\nExplanation: …\nTopic: …"
    assert [(t["token"], t["position"]) for t in evidence["structural_tokens"]] == [
        ("Answer", "row start"),
        (":", "row start"),
        ("Explanation", "line start"),
        (":", "line start"),
        ("Topic", "line start"),
        (":", "line start"),
    ]
    assert all(t["z"] > 10 and t["document_frequency"] == 1.0 for t in evidence["structural_tokens"])
    assert {t["token"] for t in found["tokens.jsd"].evidence["overused"][:6]} == {
        "Answer", "Explanation", "Topic", ":", "\n", "?"
    }  # fmt: skip
    assert "'Answer :'" in found["tokens.openings"].meaning


def test_only_the_rows_of_the_template_score(moulded, qa):
    clean, flawed = qa(100, 1), moulded(150, 3)
    mixed = Rows.from_records(
        [{k: r[k] for k in ("question", "answer")} for rows in (clean, flawed) for r in rows.table.to_pylist()],
        {"prompt": "question", "response": "answer"},
    )
    found = tokens(mixed, qa(200, 2))
    follows, share = found["tokens.templates"], found["tokens.structural"]
    assert follows.value == pytest.approx(150 / 250)
    assert all(follows.row_scores[i] == 0 == share.row_scores[i] for i in clean.ids)
    assert all(follows.row_scores[i] == 1 and share.row_scores[i] > 0.2 for i in flawed.ids)
    assert follows.row_reasons[flawed.ids[0]] == r"follows the template 'Answer: …\nExplanation: …\nTopic: …'"
    assert set(follows.row_reasons) == set(flawed.ids)


def test_structural_share_by_hand(qa, records):
    rows = qa([{"question": f"q{i}", "answer": f"Sum: {i}\nEnd: x{i}"} for i in range(50)])
    # Sum : i \n End : xi, five of seven tokens
    found = tokens(rows, qa(60, 2))["tokens.structural"]
    assert found.value == pytest.approx(5 / 7) == found.low == found.high


def test_a_template_of_the_reference_too_is_no_flaw(moulded):
    found = tokens(moulded(150, 1), moulded(150, 2))
    assert set(verdicts(found).values()) == {"ok"}


def test_a_common_opening_is_measured_against_the_real_ones(qa, records):
    openers = ["It", "That", "Indeed", "Well"]
    rows = qa([{**r, "answer": f"{openers[i % 4]} seems {r['answer']}"} for i, r in enumerate(records(200, 1))])
    found = tokens(rows, qa(200, 2))["tokens.openings"]
    assert found.value == pytest.approx(0.25) and found.verdict == "warn"
    assert {o["token"] for o in found.evidence["openings"]["1"][:4]} == set(openers)


def test_text_without_a_response_is_read_whole(qa):
    def text(rows):
        return Rows.from_records([{"text": t} for t in rows.texts()], {"text": "text"})

    found = tokens(text(qa(60, 1)), text(qa(60, 2)))
    assert set(found) == {"tokens.jsd", "tokens.openings", "tokens.templates", "tokens.structural"}
    assert found["tokens.structural"].evidence["unit"] == "text"
    mixed = tokens(qa(60, 1), text(qa(60, 2)))
    assert mixed["tokens.structural"].evidence["unit"] == "response"


def test_every_row_is_scored_also_those_outside_the_sample(moulded, qa):
    rows = moulded(120)
    found = tokens(rows, qa(100, 2), max_rows=40)["tokens.templates"]
    assert found.n_rows == 40 and found.settings["n_rows_seen"] == 120
    assert found.row_scores == dict.fromkeys(rows.ids, 1.0)


def test_findings_are_json_and_plots_speak(moulded, qa):
    found = tokens(moulded(60), qa(60, 2))
    for finding in found.values():
        json.dumps([dict(finding.evidence), dict(finding.settings)], allow_nan=False)
    density, odds = found["tokens.jsd"].plots
    assert [s.name for s in density.series] == ["synthetic", "real", "template tokens"]
    assert len(odds.series[0].x) == len(set(odds.series[0].x)) == 20
    bars = found["tokens.templates"].plots[0]
    assert bars.series[0].y == [1.0] and bars.series[1].y == [0.0]


def test_empty_and_long_rows_do_no_harm(qa, records):
    rows = qa([{**r, "answer": ""} for r in records(30, 1)] + [{"question": "q", "answer": "word " * 30_000}])
    assert tokens(rows, qa(30, 2), max_chars=1000)["tokens.templates"].verdict == "ok"


def test_few_rows_are_refused_unless_asked_for(qa):
    with pytest.raises(TooFewRowsError, match="at least 20 rows on either side, got 10 synthetic and 100 real"):
        tokens(qa(10), qa(100, 1))
    assert tokens(qa(10), qa(100, 1), allow_few=True)


def test_settings_name_all_mistakes():
    with pytest.raises(SettingsError, match="4 problems"):
        TokensCheck(max_rows=1, max_chars=0, k=0, min_share=2.0)


def test_without_real_rows_a_template_is_found_and_an_opening_that_is_common_is_not(qa, records):
    """A third of the answers in one mould are a template; one question in ten that starts alike is not."""
    told = records(120, 1)
    for i, record in enumerate(told):
        if i % 3 == 0:
            record["answer"] = f"Answer: {record['answer']}\nI hope that this helps!"
        if i % 10 == 0:
            record["question"] = f"What is the reason why {record['question']}"
    found = {f.check: f for f in audit(qa(told), checks=[TokensCheck()]).findings}
    assert set(found) == {"tokens.templates", "tokens.structural", "tokens.row_templates"}
    assert (found["tokens.templates"].value, found["tokens.templates"].control) == (40 / 120, None)
    assert found["tokens.templates"].verdict == "warn" and found["tokens.structural"].verdict == "fail"
    assert all("What" not in str(f.evidence) for f in found.values())
    assert found["tokens.templates"].n_scored == 120


def test_a_few_rows_alone_are_not_asked(qa, records):
    with pytest.raises(UsageError, match="no check had anything to ask: tokens"):
        audit(qa(records(10, 1)), checks=[TokensCheck()])
