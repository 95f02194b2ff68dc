"""The arithmetic of studies/harm, and that its page says what its results say."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from unflaw.audit import Audit
from unflaw.data import Finding, Rows


@pytest.fixture
def scripts(load_study):
    arms, page, reckon, spoil, table = load_study("harm", "arms", "page", "reckon", "spoil", "spoil_table")
    return SimpleNamespace(arms=arms, page=page, reckon=reckon, spoil=spoil, table=table)


@pytest.fixture
def world(scripts):
    of = scripts.spoil
    rows = of.Labelled(
        [
            f"Real row {i} says this. And it goes on for a while, as such rows do, until at last it ends."
            for i in range(60)
        ],
        ["a", "b", "c"] * 20,
    )
    pool = of.Labelled([f"Pool row {i} says that." for i in range(90)], ["a", "b", "c"] * 30)
    vectors = np.random.default_rng(0).normal(size=(90, 4))
    held = of.Labelled([f"Held row {i}." for i in range(60)], ["b"] * 60)
    return rows, of.World(pool, vectors, pool, held, pool, [f"In film {i} a man comes home." for i in range(60)])


def test_the_page_says_what_the_results_say(scripts):
    for path, text in scripts.page.pages().items():
        assert text == path.read_text(), f"{path}: run studies/harm/page.py"


def test_a_flaw_spoils_its_places_and_no_others(scripts, world):
    rows, real = world
    for name, flaw in scripts.spoil.LABELLED.items():
        places = scripts.spoil.places_of(flaw, rows.labels, 0.2, np.random.default_rng(1))
        spoilt = flaw.plant(rows, places, np.random.default_rng(2), real)
        was, now = (list(zip(of.texts, of.labels, strict=True)) for of in (rows, spoilt))
        assert len(places) == 12 and len(now) == 60, name
        assert {i for i in range(60) if was[i] != now[i]} <= set(places.tolist()), name
        if name not in ("one class", "reference"):  # a row may be drawn that says the same
            assert sum(was[i] != now[i] for i in places) >= 10, name


def test_larger_doses_spoil_the_rows_of_smaller_ones_too(scripts, world):
    rows, _ = world
    flaw = scripts.spoil.LABELLED["wrong labels"]
    few, more = (scripts.spoil.places_of(flaw, rows.labels, d, np.random.default_rng(1)) for d in (0.1, 0.4))
    assert set(few) < set(more)


def test_classes_that_a_flaw_is_about(scripts, world):
    rows, real = world
    for name, labels in (("one class", {"b", "c"}), ("short class", {"a", "b"})):
        places = scripts.spoil.places_of(scripts.spoil.LABELLED[name], rows.labels, 0.3, np.random.default_rng(1))
        assert {rows.labels[i] for i in places} == labels
    one = scripts.spoil.LABELLED["one class"]
    places = scripts.spoil.places_of(one, rows.labels, 0.3, np.random.default_rng(1))
    assert one.plant(rows, places, np.random.default_rng(2), real).labels.count("a") == 20 + 18


def test_copies_keep_their_label_and_conflicts_do_not(scripts, world):
    rows, real = world
    places = np.arange(10)
    labels = {" ".join(text.lower().split()): label for text, label in zip(rows.texts, rows.labels, strict=True)}
    for name, same in (("copies", True), ("conflicts", False)):
        spoilt = scripts.spoil.LABELLED[name].plant(rows, places, np.random.default_rng(2), real)
        assert all((labels[" ".join(spoilt.texts[i].lower().split())] == spoilt.labels[i]) == same for i in places)


def test_answers_are_spoilt_where_they_should_be(scripts):
    of = scripts.spoil
    rows = of.Asked(
        [f"Who is {i} and who not?" for i in range(30)], [f"number {i}, of course" for i in range(30)], ["c"] * 30
    )
    for name, flaw in of.ASKED.items():
        spoilt = flaw.plant(rows, np.array([1, 3, 5, 7]), np.random.default_rng(0))
        was, now = (list(zip(r.questions, r.answers, r.contexts, strict=True)) for r in (rows, spoilt))
        assert {i for i in range(30) if was[i] != now[i]} == {1, 3, 5, 7}, name
    wrong = of.ASKED["wrong answers"].plant(rows, np.array([1, 3, 5]), np.random.default_rng(0))
    assert [wrong.answers[i] for i in (1, 3, 5)] == [rows.answers[i] for i in (5, 1, 3)]


def test_tables_are_spoilt_in_their_places(scripts):
    import pandas as pd

    of = scripts.table
    rng = np.random.default_rng(0)

    def people(n):
        numbers = {name: rng.integers(1, 90, n) for name in of.NUMBERS}
        words = {name: np.array([f"{name}-{k}" for k in rng.integers(0, 4, n)], dtype=object) for name in of.CATEGORIES}
        return pd.DataFrame(
            numbers | words | {of.LABEL: np.array(["<=50K", "<=50K", "<=50K", ">50K"] * (n // 4), dtype=object)}
        )

    rows, real = people(80), of.TableWorld(people(400), people(80), people(80))
    for name, flaw in of.TABLE.items():
        places = of.places_in(flaw, rows, 0.2, np.random.default_rng(1))
        spoilt = flaw.plant(rows, places, np.random.default_rng(2), real)
        same = np.array(
            [[x == y for x, y in zip(a, b, strict=True)] for a, b in zip(rows.values, spoilt.values, strict=True)]
        )
        assert len(places) == 16 and len(spoilt) == 80, name
        assert set(np.flatnonzero(~same.all(1))) <= set(places.tolist()), name
        assert (~same).any(), name


def finding(check, value, control, verdict, scores, unit="share of rows"):
    return Finding(
        check, "", value, None, None, "lower", verdict, "", "", control=control, unit=unit, n_rows=10, row_scores=scores
    )


def audit_of(rows, findings):
    """Return an audit whose rows have the mean score of the findings that warn or fail, or of all."""
    counted = [f for f in findings if f.verdict != "ok"] or findings
    scores = [sum(f.row_scores.get(i, 0.0) for f in counted) / len(counted) for i in rows.ids]
    table = pa.table({"unflaw.id": rows.ids, "unflaw.score": scores, "unflaw.reason": [""] * len(rows)})
    return Audit(findings, table, {}, rows)


def test_as_many_rows_go_as_are_too_many_and_the_worst_of_them(scripts):
    rows = Rows.from_records(
        [{"unflaw.id": i, "text": i, "label": i > "c"} for i in "abcdefghij"], {"text": "text", "label": "label"}
    )
    talk = finding("residue.chatter", 0.3, 0.1, "fail", {"b": 1.0, "d": 1.0, "f": 0.5})
    loops = finding("form.loops", 0.9, 0.0, "ok", {"a": 1.0})
    assert scripts.arms.taken_out(rows, audit_of(rows, [talk, loops])) == ("b", "d"), ".3 less .1 of ten rows"
    assert scripts.arms.taken_out(rows, audit_of(rows, [loops])) == ()
    score = finding("gap.c2st_auc", 0.9, 0.5, "fail", {"e": 0.9, "a": 0.1}, unit="AUC")
    assert scripts.arms.taken_out(rows, audit_of(rows, [score])) == ("e",), "a tenth where no rows are counted"
    balance = finding("labels.balance", 0.25, 0.05, "warn", {})
    gone = scripts.arms.taken_out(rows, audit_of(rows, [balance]))
    assert len(gone) == 2 and set(gone) < set("defghij"), "from the class that has most"


def test_a_loss_is_a_share_of_the_gain_kind_by_kind(scripts):
    losses = [np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([[4.0]])]  # two seeds of two kinds, and one of one
    gains = [np.array([[4.0, 8.0], [4.0, 8.0]]), np.array([[8.0]])]
    value, low, high = scripts.arms.ratio(losses, gains)
    assert value == pytest.approx((0.5 + 0.25 + 0.5) / 3)
    assert (low, high) == (pytest.approx((0.25 + 0.25 + 0.5) / 3), pytest.approx((0.75 + 0.25 + 0.5) / 3))


def test_what_is_done_is_not_done_again_and_half_a_line_is_done_anew(scripts, tmp_path):
    name = {"set": "x", "seed": 1, "flaw": "", "dose": 0.0, "arm": "clean"}
    arms = scripts.arms.Arms(tmp_path / "a.jsonl")
    assert arms.once(lambda: {"score": 1}, **name)["score"] == 1
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(json.dumps({**name, "seed": 2, "score": 5})[:30])
    again = scripts.arms.Arms(tmp_path / "a.jsonl")
    assert again.once(lambda: {"score": 2}, **name)["score"] == 1
    assert again.once(lambda: {"score": 3}, **{**name, "seed": 2})["score"] == 3
    assert scripts.arms.Arms(tmp_path / "a.jsonl").once(lambda: {"score": 4}, **{**name, "seed": 2})["score"] == 3


@pytest.fixture
def task(scripts):
    """One set, two seeds, one kind: training gives 1.0; a fifth of copies costs .2, mending gives back .15 of it."""
    flaw = scripts.spoil.LABELLED["copies"]
    task = scripts.reckon.Task("classifier", "", {"copies": flaw, "lists": flaw}, ("films",), ("words",), 0.2)
    losses = {("", 0.0, "untrained"): 1.5, ("", 0.0, "clean"): 0.5, ("copies", 0.2, "flawed"): 0.7}
    losses |= {("copies", 0.4, "flawed"): 0.9, ("copies", 0.2, "mended"): 0.55, ("copies", 0.2, "random"): 0.8}
    found = {"copies.inside": [0.25, 0.05, "fail", 1000], "diversity.vendi": [15.0, 20.0, "ok", 500]}
    for (flaw_name, dose, arm), loss in losses.items():
        for seed in (1, 2):
            record = {"words": {"log_loss": loss}}
            if arm == "mended":
                record |= {"found": found, "taken": {"removed": 200, "right": 150}}
            task.records.setdefault(("films", flaw_name, dose, arm), {})[seed] = record
    return task


def test_harm_is_read_from_the_arms(task):
    assert task.curve("copies") == [(0.2, pytest.approx((0.2, 0.2, 0.2))), (0.4, pytest.approx((0.4, 0.4, 0.4)))]
    assert task.tenth("copies") == pytest.approx((0.1, 0.1, 0.1)), "on the line from none to a fifth"
    back = task.back("copies", 0.2)
    assert back["value"][0] == pytest.approx(0.15) and back["than_random"][0] == pytest.approx(0.25)
    assert (back["removed"], back["right"]) == pytest.approx((0.2, 0.75))
    assert task.back("copies", 0.4) is None


def test_findings_are_read_from_the_audits(task):
    assert task.reading("copies.inside", "copies") == {"doses": [0.2], "moved": [0.2]}
    assert task.reading("diversity.vendi", "copies") == {"doses": [0.2], "moved": [0.25]}
    assert task.reading("form.loops", "copies") is None
    assert task.stands_for() == {"copies.inside": "copies"}, "nobody trained on lists"


def test_sentences_are_whole_where_a_text_begins(scripts):
    import sources

    assert sources.opening("One. Two is here. Three", 4) == "One. Two is here."
    assert sources.opening("No end of it at all", 3) == "No end of"
    kept = sources.without_copies(
        [{"text": "it rained on the old hills today"}, {"text": "It rained on the old hills today!"}, {"text": "so"}]
    )
    assert kept == [{"text": "it rained on the old hills today"}]
