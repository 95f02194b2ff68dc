import json
from pathlib import Path

import pytest

import unflaw.report
from unflaw.data import Finding
from unflaw.report import _harm, by_harm, collect, excess
from unflaw.report._harm import at_dose, dose_of, mend_first, ranked, task_of
from unflaw.report._page import to_html, to_markdown

ROWS = "share of rows"
ALONE = {"moves": {"doses": [], "findings": {}}, "n_flaws": 1, "also": None}
KNOWN = {
    "labels.noise": {
        "classifier": {
            "flaw": "other labels", "doses": [0.1, 0.3], "harm": [[0.2, 0.1, 0.3], [0.8, 0.6, 1.0]],
            "tenth": [0.2, 0.1, 0.3], "reading": {"doses": [0.1, 0.3], "moved": [0.05, 0.25]}, **ALONE,
            "also": ["accuracy", 0.07],
            "back": {"dose": 0.1, "value": [0.125, 0.12, 0.13], "removed": 0.1},
        },
        "table": {
            "flaw": "the other label", "doses": [0.1], "harm": [[0.4, 0.3, 0.5]], "tenth": [0.4, 0.3, 0.5],
            "reading": None, **ALONE, "back": None,
        },
    },
    "residue.chatter": {
        "classifier": {
            "flaw": "talk", "doses": [0.1], "harm": [[0.01, -0.01, 0.03]], "tenth": [0.01, -0.01, 0.03],
            "reading": None, **ALONE, "back": {"dose": 0.1, "value": [0.0, -0.01, 0.01], "removed": 0.001},
        },
    },
    "diversity.vendi": {
        "language model": {
            "flaw": "few ideas", "doses": [0.2], "harm": [[0.06, 0.02, 0.1]], "tenth": [0.03, 0.01, 0.05],
            "reading": {"doses": [0.2], "moved": [0.5]}, **ALONE, "back": None,
        },
    },
    "paraphrases.inside": {
        "language model": {
            "flaw": "few ideas", "doses": [0.2], "harm": [[0.06, 0.02, 0.1]], "tenth": [0.03, 0.01, 0.05],
            "reading": None, **ALONE, "back": None,
        },
    },
    "diversity.compression": {
        "language model": {
            "flaw": "few ideas", "doses": [0.2], "harm": [[0.06, 0.02, 0.1]], "tenth": [0.03, 0.01, 0.05],
            "reading": None, **ALONE, "back": None,
        },
    },
}  # fmt: skip


def finding(check, value=0.1, control=0.0, verdict="fail", unit=ROWS, better="lower", n_rows=100):
    return Finding(
        check, check.upper(), value, None, None, better, verdict, "", "", control=control, unit=unit, n_rows=n_rows
    )


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(_harm, "_known", lambda: KNOWN)


@pytest.mark.parametrize(
    ("found", "share"),
    [
        (finding("form.loops", 0.3, 0.1), 0.2),
        (finding("form.loops", 0.1, 0.3), 0.0),
        (finding("form.loops", 0.3, None), 0.3),
        (finding("qa.sums", 0.5, 0.0, n_rows=20), 0.1),  # of twenty rows with sums, of a hundred, ten are wrong
        (finding("labels.noise", 0.5, 0.0, n_rows=20), 0.5),  # a sample
        (finding("gap.c2st_auc", 0.9, 0.5, unit="AUC"), None),
        (finding("gap.precision", 0.3, 0.7, unit="share", better="higher"), None),
    ],
)
def test_excess_is_the_share_of_all_rows_that_real_ones_do_not_have(found, share):
    assert excess(found, 100) == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("value", "dose"), [(0.15, 0.0), (0.2, 0.0), (0.225, 0.05), (0.25, 0.1), (0.35, 0.2), (0.45, 0.3), (0.9, 0.3)]
)
def test_the_dose_is_read_off_what_doses_moved_the_finding(value, dose):
    """The control is .2; .05 above it is a tenth of the rows, .25 above it three tenths."""
    reading = KNOWN["labels.noise"]["classifier"]["reading"]
    assert dose_of(finding("labels.noise", value, 0.2), reading, 100) == pytest.approx(dose)


def test_where_more_is_better_the_loss_counts():
    found = finding("diversity.vendi", 15.0, 20.0, unit="Vendi score", better="higher")  # a quarter is lost, half of .5
    assert dose_of(found, {"doses": [0.2], "moved": [0.5]}, 100) == pytest.approx(0.1)
    assert dose_of(found, None, 100) is None


def test_harm_lies_on_lines_between_doses_and_stays_beyond_the_last():
    curve = KNOWN["labels.noise"]["classifier"]
    told = [at_dose(curve["doses"], curve["harm"], dose) for dose in (0.05, 0.2, 0.5)]
    assert told == [pytest.approx(x) for x in ((0.1, 0.05, 0.15), (0.5, 0.35, 0.65), (0.8, 0.6, 1.0))]


def test_the_order_is_that_of_the_harm_to_expect(known):
    found = [
        finding("form.loops", 0.9),  # not measured here
        finding("residue.chatter", 0.5),  # measured, no harm
        finding("hygiene.contacts", verdict="warn"),
        finding("diversity.vendi", 10.0, 20.0, unit="", better="higher", verdict="warn"),  # .06 at .2
        finding("labels.balance", verdict="ok"),
        finding("labels.noise", 0.05),  # .2 at .1
        finding("hygiene.secrets"),
        finding("copies.holdout"),
    ]
    kinds = [(h.finding.check, h.kind) for h in ranked(found)]
    assert kinds == [
        ("copies.holdout", "void"), ("hygiene.secrets", "liability"), ("labels.noise", "harm"),
        ("diversity.vendi", "harm"), ("form.loops", "unmeasured"), ("hygiene.contacts", "liability"),
        ("residue.chatter", "none"), ("labels.balance", "ok"),
    ]  # fmt: skip
    assert [f.check for f in by_harm(found)] == [check for check, _ in kinds]


def test_more_of_a_flaw_goes_before_less_of_a_worse_one(known):
    few_labels = finding("labels.noise", 0.01, verdict="warn")  # dose .02, harm .04
    alike = finding("diversity.vendi", 10.0, 20.0, unit="", better="higher", verdict="warn")  # dose .2, harm .06
    assert [h.expected[0] for h in ranked([few_labels, alike])] == [pytest.approx(0.06), pytest.approx(0.04)]


def test_evidence_is_told_in_words(known):
    (harm,) = ranked([finding("labels.noise", 0.05)])
    assert harm.words == (
        "Expected to cost 20 % [10, 30] of what training gives, in about 10 % of the rows. In our runs a tenth of such "
        "rows (other labels) cost 20 % [10, 30] of what training gave (classifier, log-loss; 7.0 % by accuracy); "
        "taking out the rows the audit named gave back 12 % [12, 13]."
    )  # fmt: skip
    (chatter,) = ranked([finding("residue.chatter", 0.2)])
    assert chatter.words == (
        "No harm seen in our runs at this dose, at least 10 % of the rows (talk): 1.0 % [−1.0, 3.0] of what training "
        "gave (classifier, log-loss); the audit named hardly any of them."
    )  # fmt: skip
    assert ranked([finding("form.loops")])[0].words == "What this costs was not measured."


def test_a_tenth_that_was_not_run_is_not_told_as_if_it_had_been(known):
    (alike,) = ranked([finding("diversity.vendi", 10.0, 20.0, unit="", better="higher", verdict="warn")])
    assert "In our runs a fifth of such rows (few ideas) cost 6 % [2, 10] of what training gave" in alike.words


def test_a_finding_that_many_flaws_move_stands_with_the_one_that_says_more(monkeypatch):
    def of(flaw, harm, moves, n_flaws):
        curve = {"flaw": flaw, "doses": [0.1], "harm": [[harm] * 3], "tenth": [harm] * 3, "back": None, "reading": None}
        moves = {"doses": [0.1], "findings": moves}
        return {"classifier": {**curve, "moves": moves, "n_flaws": n_flaws, "also": None}}

    monkeypatch.setattr(_harm, "_known", lambda: {
        "copies.inside": of("copies", 0.01, {"copies.inside": [0.1], "diversity.phrases": [0.06]}, 2),
        "diversity.phrases": of("one voice", 0.3, {"diversity.phrases": [0.1], "form.loops": [0.1]}, 9),
        "form.loops": of("circles", 0.02, {"form.loops": [0.1]}, 1),
    })  # fmt: skip
    found = [finding(check, 0.1) for check in ("copies.inside", "diversity.phrases", "form.loops")]
    # phrases alone would come first, but the copies alone move them by .06 of .1; loops, which fewer flaws move, do not
    assert [[h.finding.check for h in group] for group in mend_first(found)] == [
        ["form.loops"], ["copies.inside", "diversity.phrases"],
    ]  # fmt: skip
    assert [f.check for f in by_harm(found)] == ["form.loops", "copies.inside", "diversity.phrases"]
    few = [finding("copies.inside", 0.05), *found[1:]]  # half as many: .03 of .1
    assert [[h.finding.check for h in group] for group in mend_first(few)] == [
        ["diversity.phrases"], ["form.loops"], ["copies.inside"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("back", "words"),
    [
        (None, ""),
        ({"dose": 0.1, "value": [0.2, 0.1, 0.3], "removed": 0.1}, " gave back 20 % [10, 30]"),
        ({"dose": 0.2, "value": [-0.02, -0.03, -0.01], "removed": 0.1}, " of 20 % cost 2.0 % [1.0, 3.0] more"),
        (
            {"dose": 0.1, "value": [0.0, -0.01, 0.01], "removed": 0.1},
            " changed nothing that was seen: 0.0 % [−1.0, 1.0]",
        ),
    ],
)
def test_taking_rows_out_helps_or_costs_or_neither(back, words):
    assert _harm._mended(back) == (words and f"; taking out the rows the audit named{words}")


def test_the_task_is_that_of_the_rows(known):
    assert [task_of([finding(c)]) for c in ("tables.shapes", "labels.noise", "qa.sums")] == [
        "table", "classifier", "language model"
    ]  # fmt: skip
    noise = finding("labels.noise", 0.1)
    assert "(the other label)" in ranked([noise, finding("tables.shapes", verdict="ok")])[0].words
    # nobody measured chatter in a table
    assert (
        "(classifier, log-loss)"
        in ranked([finding("residue.chatter"), finding("tables.shapes", verdict="ok")])[0].words
    )


def test_findings_of_one_flaw_are_one_thing_to_mend(known):
    found = [
        finding("paraphrases.inside", 0.1),  # .03
        finding("diversity.vendi", 10.0, 20.0, unit="", better="higher"),  # .06
        finding("diversity.compression", 3.0, 2.0, unit="times"),  # how much of it there is cannot be told
        finding("residue.chatter", 0.5),
    ]
    assert [[h.finding.check for h in group] for group in mend_first(found)] == [
        ["diversity.vendi", "paraphrases.inside"], ["diversity.compression"], ["residue.chatter"],
    ]  # fmt: skip


def test_the_page_and_its_twins_say_what_to_mend_first(tmp_path, make_run, known):
    found = [finding("residue.chatter", 0.5), finding("labels.noise", 0.05, verdict="warn")]
    report = collect(make_run(tmp_path / "r", n_rows=5, findings=found))
    items = report["first"]["items"]
    assert [item["title"] for item in items] == ["LABELS.NOISE", "RESIDUE.CHATTER"]
    assert [f["anchor"] for f in report["findings"] if f["title"] == "LABELS.NOISE"] == [items[0]["anchor"]]
    assert json.loads(json.dumps(report))["first"]["items"][0]["expected"] == pytest.approx([0.2, 0.1, 0.3])
    advice = [step["words"].split()[0] for step in report["next"] if not step["command"]]
    assert advice == ["Look", "No"], "in the order of the ranking: labels, then chatter, from which no harm was seen"
    assert "gave back 12 % [12, 13]" in to_html(report)
    assert "1. **LABELS.NOISE** (warn). Expected to cost 20 %" in to_markdown(report)


def test_nothing_flawed_is_nothing_to_rank(tmp_path, make_run):
    report = collect(make_run(tmp_path / "r", n_rows=5, findings=[finding("form.loops", verdict="ok")]))
    assert report["first"] is None and "What to mend first" not in to_html(report)


def test_what_is_shipped_is_whole():
    told = json.loads((Path(unflaw.report.__file__).parent / "harm.json").read_text())
    for by_task in told["findings"].values():
        for task, of in by_task.items():
            flaw = told["flaws"][task][of["flaw"]]
            assert flaw["doses"] == sorted(flaw["doses"]) and len(flaw["harm"]) == len(flaw["doses"])
            assert all(low <= value <= high for value, low, high in [*flaw["harm"], flaw["tenth"]])
            if of["reading"]:
                assert of["reading"]["moved"] == sorted(of["reading"]["moved"])
