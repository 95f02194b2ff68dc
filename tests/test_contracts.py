"""What every check, every fake model and every finding must honour. Hold your own to it as well."""

import dataclasses
import itertools
import json
import pickle
import re
from functools import cache

import numpy as np
import pytest

from unflaw.audit import NEEDS, Batch, Check, audit, default_checks
from unflaw.data import Finding, Rows, from_json, to_json
from unflaw.models import (
    Encoder,
    Generator,
    HashEncoder,
    Sampling,
    Scorer,
    ScriptedGenerator,
    UnigramScorer,
)

CHECKS = {check.name: check for check in default_checks(seed=1)}
PEOPLE = ["Ada", "Grace", "Alan", "Kurt", "Emmy", "Sofia", "Edsger", "Barbara", "Donald", "Radia"]
DEEDS = ["wrote", "found", "proved", "broke", "drew", "lost", "sold", "kept", "taught", "burnt"]
THINGS = ["a letter", "two maps", "the proof", "her engine", "a lemma", "some code", "the key", "ten books", "a net"]
PLACES = ["in Paris", "at night", "by hand", "near Bath", "on paper", "for years", "at sea", "in a hurry"]


def two_sets_of_one_source(n, m, passages=False):
    """Draw n and m plain sentences, all different."""
    sentences = list(itertools.product(PEOPLE, DEEDS, THINGS, PLACES))
    order = np.random.default_rng(0).permutation(len(sentences)).tolist()
    records = [
        {
            "question": f"What did {sentences[i][0]} do, case {i}?", "answer": " ".join(sentences[i]), "label": i % 3,
            "context": f"In story {i}, {' '.join(sentences[i])}.",
        }
        for i in order
    ]  # fmt: skip
    keep = ["question", "answer", "label", *(["context"] if passages else [])]
    roles = {"prompt": "question", "response": "answer", "label": "label", "context": "context"}
    return [
        Rows.from_records([{k: r[k] for k in keep} for r in part], {k: v for k, v in roles.items() if v in keep})
        for part in (records[:n], records[n : n + m])
    ]


def two_tables_of_one_source(n, m):
    """Draw n and m rows of a plain table: numbers, words, a rule, and gaps."""
    rng = np.random.default_rng(0)
    made, place = rng.integers(1990, 2020, n + m), rng.choice(["Bath", "Paris", "Rome"], n + m)
    table = {
        "made": made, "sold": made + rng.integers(0, 9, n + m), "price": rng.exponential(50, n + m).round(2),
        "place": place,
        "country": np.where(place == "Bath", "UK", np.where(place == "Rome", "Italy", "France")),
        "note": [None if gap else "ok" for gap in rng.random(n + m) < 0.2],
    }  # fmt: skip
    columns = [np.asarray(column).tolist() for column in table.values()]
    records = [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
    return Rows.from_records(records[:n], {}), Rows.from_records(records[n:], {})


SYNTHETIC, REFERENCE = two_sets_of_one_source(160, 200)
PASSAGES = two_sets_of_one_source(160, 200, passages=True)
TABLES = two_tables_of_one_source(160, 200)
SCORER = UnigramScorer(REFERENCE.texts())


def sides(check):
    """Return the rows a check is asked about: some ask for columns of their own."""
    return {"tables": TABLES, "grounding": PASSAGES}.get(check.name, (SYNTHETIC, REFERENCE))


def batch_of(rows, check):
    """Return a batch that knows what the check needs and nothing else."""
    known = {
        "embeddings": lambda: HashEncoder().encode(rows.texts()),
        "pair_embeddings": lambda: tuple(HashEncoder().encode(rows.column(r)) for r in ("prompt", "response")),
        "context_embeddings": lambda: HashEncoder().encode(rows.column("context")),
        "log_probs": lambda: SCORER.log_probs(rows.pairs()),
        "log_probs_after": lambda: SCORER.log_probs(rows.pairs()),
    }
    return Batch(rows, rows.texts(), **{need: make() for need, make in known.items() if need in check.needs})


def ask(check, synthetic=None, batch_size=64):
    given = {"encoder": HashEncoder(), "scorer": SCORER, "scorer_after": SCORER}
    mine, real = sides(check)
    return audit(synthetic or mine, real, checks=[check], batch_size=batch_size, seed=1, **given)


@cache
def findings_of(name):
    return ask(CHECKS[name]).findings


@pytest.fixture(params=CHECKS)
def check(request):
    return CHECKS[request.param]


@pytest.fixture
def findings(check):
    return findings_of(check.name)


def test_a_check_is_a_frozen_value_with_a_plain_name(check):
    assert isinstance(check, Check)
    assert dataclasses.is_dataclass(check) and check == dataclasses.replace(check)
    with pytest.raises(dataclasses.FrozenInstanceError):
        check.seed = 5
    assert re.fullmatch(r"[a-z_]+", check.name)
    assert check.needs <= NEEDS


def test_a_check_answers_with_findings_under_its_own_name(check, findings):
    names = [finding.check for finding in findings]
    assert names and len(set(names)) == len(names)
    assert all(name.split(".")[0] == check.name and "." in name for name in names)


def test_a_finding_speaks_in_whole_sentences_and_survives_json(findings):
    for finding in findings:
        assert finding.title and finding.meaning.endswith(".") and finding.threshold
        assert all(plot.alt for plot in finding.plots)
        # A tuple comes back as a list, so compare what is written, not the objects.
        written = json.dumps(to_json(finding), allow_nan=False)
        assert json.dumps(to_json(from_json(Finding, json.loads(written)))) == written


def test_a_value_lies_in_its_interval_and_has_a_control(findings):
    for finding in findings:
        assert finding.low is None or finding.low <= finding.value <= finding.high
        assert finding.control is not None, "what does no flaw look like?"


def test_rows_from_one_source_raise_no_flaw(findings):
    assert {finding.check: finding.verdict for finding in findings if finding.verdict != "ok"} == {}


def test_row_scores_lie_in_the_unit_interval_and_name_rows(check, findings):
    for finding in findings:
        assert set(finding.row_scores) <= set(sides(check)[0].ids)
        assert all(0 <= score <= 1 for score in finding.row_scores.values())
        assert set(finding.row_reasons) <= set(finding.row_scores)
        assert all(finding.row_reasons.values()), "an empty reason is no reason"


def said(findings):
    """Everything a finding says, numbers rounded: sums in another order differ in the last digits."""
    return json.loads(json.dumps([to_json(f) for f in findings]), parse_float=lambda text: round(float(text), 6))


def test_neither_batch_size_nor_order_changes_the_answer(check, findings):
    rows = sides(check)[0]
    shuffled = rows.take(np.random.default_rng(2).permutation(len(rows)).tolist())
    assert said(ask(check, shuffled, batch_size=13).findings) == said(findings)


def test_merging_changes_neither_side_and_summaries_travel(check):
    rows = sides(check)[0]
    a, b = (check.summarise(batch_of(rows.take(part), check)) for part in (range(50), range(50, 110)))
    before = pickle.dumps((a, b))
    check.merge(a, b)
    check.merge(b, a)
    assert pickle.dumps((a, b)) == before
    pickle.loads(pickle.dumps(check.merge(a, b)))


def test_a_check_leaves_the_rows_as_they_were(check):
    rows, real = sides(check)
    batch, *halves = (batch_of(part, check) for part in (rows, real.take(range(90)), real.take(range(90, 200))))
    table, before = rows.table, pickle.dumps(batch.embeddings)
    control = [check.summarise(half) for half in halves]
    findings = check.conclude(check.summarise(batch), check.merge(*control), tuple(control), None)
    check.score(batch, findings)
    assert rows.table is table and pickle.dumps(batch.embeddings) == before


def test_the_same_seed_gives_the_same_answer(check, findings):
    assert said(ask(check).findings) == said(findings)


@pytest.mark.parametrize("model", [ScriptedGenerator(str.upper)])
def test_a_generator_answers_every_prompt_in_order(model):
    assert isinstance(model, Generator)
    both = model.generate(["one", [{"role": "user", "content": "two"}]], Sampling())
    assert both == ["ONE", "TWO"]
    assert model.generate([], Sampling()) == []


@pytest.mark.parametrize("model", [HashEncoder()])
def test_an_encoder_gives_unit_vectors_whatever_the_batch(model):
    assert isinstance(model, Encoder)
    texts = ["a red cat", "", "a red dog", "ä \ud800"]
    vectors = model.encode(texts)
    assert vectors.shape[0] == 4 and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1], rtol=1e-5)  # nothing said, no direction
    np.testing.assert_array_equal(vectors, np.concatenate([model.encode([text]) for text in texts]))


@pytest.mark.parametrize("model", [SCORER])
def test_a_scorer_gives_log_probabilities_for_every_token(model):
    assert isinstance(model, Scorer)
    plain, answer = model.log_probs([("", "Ada wrote a letter"), ("What?", "Ada wrote a letter")])
    assert (answer <= 0).all() and np.isfinite(answer).all()
    assert len(answer) >= len(plain) + 1  # plain text is scored from its second token on
