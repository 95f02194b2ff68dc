import weakref
from contextlib import nullcontext
from importlib import import_module

import numpy as np
import pytest

from unflaw._errors import DataError, SettingsError, TooFewRowsError
from unflaw.audit import PerplexityCheck, audit
from unflaw.measure import kernel_density
from unflaw.models import UnigramScorer


class Known:
    """A scorer told beforehand how hard each row is: equal log-probs whose mean is the row's."""

    def __init__(self, hardness):
        self.hardness = hardness  # prompt → nats per token

    def log_probs(self, pairs):
        return [np.full(3 + len(p) % 4, -self.hardness[p], np.float32) for p, _ in pairs]


def numbered(qa, name, hardness):
    """Rows whose log-perplexities are these numbers, and what a `Known` scorer needs to say so."""
    rows = qa([{"question": f"{name} {i}", "answer": f"{name} {i}"} for i in range(len(hardness))])
    return rows, {f"{name} {i}": float(h) for i, h in enumerate(hardness)}


def found(qa, synthetic, real, after=None, **settings):
    (rows, hard), (reference, hard_real) = numbered(qa, "s", synthetic), numbered(qa, "r", real)
    scorers = {"scorer": Known(hard | hard_real)}
    if after is not None:
        scorers["scorer_after"] = Known(numbered(qa, "s", after[0])[1] | numbered(qa, "r", after[1])[1])
    return {f.check: f for f in audit(rows, reference, checks=[PerplexityCheck(**settings)], **scorers).findings}


def normal(mean, sd, n, seed):
    """Draw n numbers, then shift and scale them so that mean and sd are exact."""
    x = np.random.default_rng(seed).normal(size=n)
    return mean + sd * (x - x.mean()) / x.std()


@pytest.mark.parametrize("seed", range(5))
def test_two_draws_of_one_source_raise_nothing(qa, seed):
    rng = np.random.default_rng(seed)
    got = found(qa, rng.gamma(4, 0.8, 200), rng.gamma(4, 0.8, 200))
    assert {f.verdict for f in got.values()} == {"ok"}
    assert set(got) == {"perplexity.shift", "perplexity.variance_ratio"}


def test_values_by_hand(qa):
    got = found(qa, normal(2.0, 0.5, 100, 1), normal(3.0, 1.0, 100, 2))
    assert got["perplexity.shift"].value == pytest.approx(-1.0, abs=1e-5)
    assert got["perplexity.variance_ratio"].value == pytest.approx(0.25, rel=1e-4)
    assert got["perplexity.shift"].low < -1 < got["perplexity.shift"].high < -0.7
    assert "2.00 for synthetic and 3.00 for real" in got["perplexity.shift"].meaning


@pytest.mark.parametrize(
    ("mean", "sd", "shift", "variance"),
    [(3.0, 1.0, "ok", "ok"), (2.3, 1.0, "warn", "ok"), (1.5, 1.0, "fail", "ok"), (4.5, 1.0, "warn", "ok"),
     (3.0, 0.6, "ok", "warn"), (3.0, 0.3, "ok", "fail"), (3.0, 2.0, "ok", "ok")],
)  # fmt: skip
def test_verdicts(qa, mean, sd, shift, variance):
    got = found(qa, normal(mean, sd, 200, 1), normal(3.0, 1.0, 200, 2))
    assert got["perplexity.shift"].verdict == shift
    assert got["perplexity.variance_ratio"].verdict == variance


def test_before_and_after_training(qa):
    synthetic, real = normal(3.0, 1.0, 100, 1), normal(3.0, 1.0, 100, 2)
    got = found(qa, synthetic, real, after=(1.0 + 0.5 * (synthetic - 3.0), real + 0.1))
    shift, spread = got["perplexity.after_shift"], got["perplexity.after_variance_ratio"]
    assert shift.value == pytest.approx(-2.0, abs=1e-5) and shift.verdict == "fail"
    assert shift.control == pytest.approx(0.1, abs=1e-5)
    assert spread.value == pytest.approx(0.25, rel=1e-4) and spread.verdict == "fail"
    assert spread.low == pytest.approx(0.25, rel=1e-4), "paired: the ratio is the same in every resample"
    assert spread.control == pytest.approx(1.0, rel=1e-4)


def test_training_that_helps_real_rows_as_much_is_no_flaw(qa):
    synthetic, real = normal(3.0, 1.0, 100, 1), normal(3.0, 1.0, 100, 2)
    got = found(qa, synthetic, real, after=(0.8 * synthetic, 0.8 * real))
    assert {f.verdict for f in got.values()} == {"ok"}


def test_row_score_is_the_part_of_real_rows_that_are_harder(qa):
    real = np.linspace(1.0, 3.0, 201)
    mine = np.concatenate([[0.5, 1.5, 2.0, 9.0], real[:60]])
    ids, got = numbered(qa, "s", mine)[0].ids, found(qa, mine, real)["perplexity.shift"]
    scores = [got.row_scores[row_id] for row_id in ids[:4]]
    assert scores == pytest.approx([1.0, 0.75, 0.5, 0.0], abs=0.01)
    first, second = ids[:2]
    assert got.row_reasons[first] == "log-perplexity 0.50, lower than 100% of real rows"
    assert second not in got.row_reasons


def test_rows_without_tokens_are_counted_and_not_scored(qa):
    rows, reference = (
        qa([{"question": "", "answer": f"w{i}" if i < 9 else f"w{i} w w w"} for i in range(60)]),
        qa(60, 2),
    )
    got = audit(rows, reference, checks=[PerplexityCheck()], scorer=UnigramScorer(reference.texts() + ["w"])).findings
    assert got[0].settings["n_without_tokens"] == 9 and got[0].n_rows == 51
    assert len(got[0].row_scores) == 51


class Broken(UnigramScorer):
    def log_probs(self, pairs):
        raise DataError("out of words")


@pytest.mark.parametrize("scorer", [UnigramScorer, Broken])
def test_a_model_that_the_audit_opened_is_let_go(qa, monkeypatch, scorer):
    opened, beside = [], []

    def open_scorer(spec, device):
        beside.extend(model() for model in opened)
        model = scorer([*qa(40).texts(), spec])
        opened.append(weakref.ref(model))
        return model

    monkeypatch.setattr(import_module("unflaw.audit._inputs"), "open_scorer", open_scorer)
    with pytest.raises(DataError, match="out of words") if scorer is Broken else nullcontext():
        audit(qa(40), qa(40, 2), checks=[PerplexityCheck()], scorer="hf:before", scorer_after="hf:after")
    assert [model() for model in opened] == ([None] if scorer is Broken else [None, None])
    assert beside == [None] * (len(opened) - 1), "the first is gone before the second is opened"


def test_mistakes_are_refused(qa):
    with pytest.raises(TooFewRowsError, match="got 9 synthetic and 60 real"):
        found(qa, normal(1, 1, 9, 1), normal(1, 1, 60, 2))
    assert found(qa, normal(1, 1, 9, 1), normal(1, 1, 60, 2), allow_few=True)
    with pytest.raises(DataError, match="finite"):
        found(qa, np.full(40, np.inf), normal(1, 1, 60, 2))
    with pytest.raises(SettingsError, match="max_rows"):
        PerplexityCheck(max_rows=2)


def test_the_picture_is_a_density():
    grid = np.linspace(-6, 6, 400)
    density = kernel_density(np.random.default_rng(0).normal(size=9000), grid)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    assert density.max() == pytest.approx(1 / np.sqrt(2 * np.pi), rel=0.06)
    assert np.trapezoid(kernel_density(np.ones(50), grid), grid) == pytest.approx(1, abs=0.01)
    with pytest.raises(TooFewRowsError):
        kernel_density(np.ones(1), grid)
