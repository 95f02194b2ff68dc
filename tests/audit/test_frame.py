"""The contract: what every check owes, whatever it asks."""

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest

from unflaw._errors import DataError, SettingsError, TooFewRowsError, UsageError
from unflaw.audit import Batch, Check, CopiesCheck, GapCheck, RowScore, audit, default_checks
from unflaw.audit._sample import bottom_k, merge_samples
from unflaw.data import Finding, Rows, to_json
from unflaw.models import HashEncoder, UnigramScorer

CHECKS = [
    replace(check, max_rows=60, n_permutations=19, picture="pca") if isinstance(check, GapCheck) else check
    for check in default_checks(seed=1)
]


@dataclass(frozen=True)
class MeanLength:
    """The smallest check there is."""

    name: str = "length"
    needs: frozenset[str] = frozenset({"reference"})

    def summarise(self, batch):
        return np.array([sum(map(len, batch.texts)), len(batch.texts)])

    def merge(self, a, b):
        return a + b

    def conclude(self, synthetic, reference, control, holdout):
        value = synthetic[0] / synthetic[1]
        settings = {"n_held_out": 0 if holdout is None else int(holdout[1]), "n_control": [int(c[1]) for c in control]}
        return [
            Finding("length.mean", "Mean length", float(value), None, None, "lower", "ok", "", "", settings=settings)
        ]

    def score(self, batch, findings):
        return {
            "length.mean": {i: RowScore(len(t) / 1000, "long") for i, t in zip(batch.ids, batch.texts, strict=True)}
        }


def table(n, seed):
    """Draw rows of a plain table."""
    rng = np.random.default_rng(seed)
    columns = {"age": rng.integers(18, 90, n).tolist(), "city": rng.choice(["Bath", "Rome"], n).tolist()}
    return Rows.from_records([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], {})


@pytest.fixture
def sets(qa, encoder, request):
    """Return rows, reference and all else that an audit takes, of the kind that the check is about."""

    def fitted(rows):
        rows = rows.with_column("kind", [i % 3 for i in range(len(rows))], role="label")
        about = [f"It is said of {q} that {a}" for q, a in zip(*map(rows.column, ("prompt", "response")), strict=True)]
        return rows.with_column("passage", about, role="context") if check == "grounding" else rows

    check = request.getfixturevalue("check").name
    sizes = ((80, 1), (100, 2), (20, 3))
    rows, reference, holdout = (table(*of) if check == "tables" else fitted(qa(*of)) for of in sizes)
    if check == "tables":
        return rows, reference, {"holdout": holdout}
    scorer = UnigramScorer(reference.texts())
    return rows, reference, {"holdout": holdout, "encoder": encoder, "scorer": scorer}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_findings_do_not_depend_on_batch_size_or_order(check, sets):
    rows, reference, given = sets
    shuffled = [r.take(np.random.default_rng(5).permutation(len(r)).tolist()) for r in (rows, reference)]
    whole, *others = [
        audit(rows, reference, checks=[check], batch_size=1000, **given),
        audit(rows, reference, checks=[check], batch_size=1, **given),
        audit(rows, reference, checks=[check], batch_size=7, **given),
        audit(*shuffled, checks=[check], batch_size=64, **given),
    ]
    for other in others:
        assert [to_json(f) for f in other.findings] == [to_json(f) for f in whole.findings]
        assert other.row_scores() == whole.row_scores()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_checks_keep_the_contract(check, sets):
    rows, reference, given = sets
    assert isinstance(check, Check)
    assert pickle.loads(pickle.dumps(check)) == check
    found = audit(rows, reference, checks=[check], **given)
    names = [f.check for f in found.findings]
    assert len(names) == len(set(names)) > 0
    assert all(name.startswith(f"{check.name}.") for name in names)
    for finding in found.findings:
        assert finding.threshold and finding.meaning and finding.title
        assert set(finding.row_scores) | set(finding.row_reasons) <= set(rows.ids)
        assert all(0 <= score <= 1 for score in finding.row_scores.values())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_summaries_survive_the_trip_to_another_process(check, sets):
    rows, reference, given = sets
    encoder = given.get("encoder", HashEncoder())
    log_probs = UnigramScorer(reference.texts()).log_probs(rows.pairs()) if rows.has("prompt") else None
    summary = check.summarise(Batch(rows, rows.texts(), encoder.encode(rows.texts()), log_probs))
    assert isinstance(pickle.loads(pickle.dumps(summary)), type(summary))


def test_the_control_is_two_halves_of_the_reference_and_held_out_rows_reach_checks_of_text(qa):
    found = audit(qa(30, 1), qa(100, 2), holdout=qa(20, 3), checks=[MeanLength()])
    settings = found.findings[0].settings
    assert settings["n_held_out"] == 20
    assert sum(settings["n_control"]) == 100
    assert min(settings["n_control"]) > 30


def test_rows_are_scored_and_the_worst_come_first(qa):
    rows = qa(30, 1)
    found = audit(rows, qa(20, 2), checks=[MeanLength()])
    longest = max(range(30), key=lambda i: len(rows.texts()[i]))
    assert found.worst(1) == [rows.ids[longest]]
    table = found.to_pandas()
    assert list(table.columns) == ["unflaw.id", "unflaw.score", "unflaw.reason", "unflaw.score.length.mean"]
    assert table["unflaw.id"].tolist() == rows.ids
    assert set(table["unflaw.reason"]) == {"long"}


def test_checks_that_lack_something_are_skipped_with_the_reason(qa, encoder):
    found = audit(qa(60, 1), checks=[GapCheck(), CopiesCheck()], encoder=encoder)
    assert found.skipped == {"gap": "needs real rows to compare with: pass `reference`"}
    assert {f.check for f in found.findings} == {"copies.inside", "copies.inside_prompt"}
    with pytest.raises(UsageError, match="no check can run: gap needs real rows"):
        audit(qa(60, 1), checks=[GapCheck()], encoder=encoder)


def test_the_verdict_is_the_worst(qa, records):
    once = records(50, 1)
    assert audit(qa(once), checks=[CopiesCheck()]).verdict == "ok"
    assert audit(qa(once * 2), checks=[CopiesCheck()]).verdict == "fail"


def test_the_same_rows_on_both_sides_are_refused(qa):
    with pytest.raises(UsageError, match="the same 60 rows"):
        audit(qa(60, 1), qa(60, 1), checks=[MeanLength()])


def test_a_reference_too_small_to_halve_is_refused(qa):
    with pytest.raises(TooFewRowsError, match="two halves, got 1 rows"):
        audit(qa(60, 1), qa(1, 2), checks=[MeanLength()])


def test_empty_sets_and_nonsense_are_refused(qa):
    with pytest.raises(DataError, match="`rows` must hold rows"):
        audit(qa(3).take([]), checks=[MeanLength()])
    with pytest.raises(SettingsError, match="3 problems"):
        audit(qa(3), checks=[MeanLength(), MeanLength(needs=frozenset({"luck"}))], batch_size=0)
    with pytest.raises(SettingsError, match="must be a list of checks"):
        audit(qa(3), checks=[])


def test_progress_counts_every_row_of_every_set(qa):
    seen = []
    audit(qa(30, 1), qa(20, 2), checks=[MeanLength()], batch_size=8, progress=lambda *at: seen.append(at))
    last = {stage: (done, total) for stage, done, total in seen}
    assert last == {
        "reading rows": (1, 1), "reading reference": (1, 1), "looking at rows": (50, 50), "concluding": (1, 1),
        "scoring rows": (30, 30),
    }  # fmt: skip
    for stage in last:
        done = [done for name, done, _ in seen if name == stage]
        assert done == sorted(done)


def test_a_sample_of_a_union_is_the_sample_of_the_samples():
    ids = [f"row{i}" for i in range(100)]
    whole = bottom_k(ids, ids.__getitem__, 10, seed=3)
    parts = merge_samples(
        bottom_k(ids[60:], ids[60:].__getitem__, 10, seed=3), bottom_k(ids[:60], ids[:60].__getitem__, 10, seed=3)
    )
    assert whole == parts
    assert whole.ids == list(whole.values)
    assert whole.n_rows == 100
    assert bottom_k(ids, ids.__getitem__, 10, seed=4).ids != whole.ids


def test_samples_are_fair():
    """Over 400 seeds each of 20 rows is among the 5 sampled 100 times on average, sd 8.7."""
    ids = [f"row{i}" for i in range(20)]
    drawn = [i for seed in range(400) for i in bottom_k(ids, ids.__getitem__, 5, seed).ids]
    counts = [drawn.count(i) for i in ids]
    assert sum(counts) == 2000
    assert 65 < min(counts) and max(counts) < 135
