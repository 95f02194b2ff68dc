"""Answers taken from rows about other passages, found by their vectors; the same said in other words, not."""

import numpy as np
import pytest

from unflaw._errors import DataError, SettingsError
from unflaw.audit import Batch, GroundingCheck
from unflaw.data import Rows
from unflaw.models import HashEncoder

N_PASSAGES, PER_PASSAGE = 40, 5


class Meanings:
    """Gives texts the direction of the topic they name, in whichever words, and a little of their own."""

    def encode(self, texts):
        of = [next((int(w[5:]) for w in text.split() if w[:5] in ("topic", "thema")), 900) for text in texts]
        topics = np.random.default_rng(0).normal(size=(1000, 32))
        x = topics[of] + 0.3 * HashEncoder(32).encode(texts)
        return x / np.linalg.norm(x, axis=1, keepdims=True)


def rows(swapped=0, word="topic", shift=7):
    """Five rows a passage; the first `swapped` have an answer about another passage."""
    records = []
    for i in range(N_PASSAGES * PER_PASSAGE):
        own = i // PER_PASSAGE
        about = (own + shift) % N_PASSAGES if i < swapped else own
        records.append({
            "question": f"what is case {i} about?", "answer": f"{word}{about}",
            "context": f"the passage says that topic{own} is what it says",
        })  # fmt: skip
    return Rows.from_records(records, {"prompt": "question", "response": "answer", "context": "context"})


def batch(of):
    asked, answered, about = (Meanings().encode(of.column(role)) for role in ("prompt", "response", "context"))
    return Batch(of, of.texts(), pair_embeddings=(asked, answered), context_embeddings=about)


def grounding(mine, real=None):
    check = GroundingCheck()
    summaries = [None if of is None else check.summarise(batch(of)) for of in (mine, real)]
    found = check.conclude(*summaries, None, None)
    scores = check.score(batch(mine), found)
    return {f.check.partition(".")[2]: (f, scores[f.check]) for f in found}


def test_answers_about_their_own_passage_are_fine():
    found = grounding(rows(), rows())
    assert {f.value for f, _ in found.values()} == {0} and {f.verdict for f, _ in found.values()} == {"ok"}
    assert all(rows == {} for _, rows in found.values())
    assert set(found) == {"passage", "neither"}


def test_answers_about_other_passages_are_found_and_no_other():
    mine = rows(swapped=60)
    for found, scores in grounding(mine, rows()).values():
        assert found.verdict == "fail" and found.control == 0
        assert set(scores) <= set(mine.ids[:60]) and len(scores) > 40  # four of five at random
        assert len(scores) == round(found.value * found.n_rows)
        assert all(score >= 0.2 and "other passages" in reason for score, reason in scores.values())


def test_the_same_in_other_words_is_near_its_passage_although_no_word_is_in_it():
    found = grounding(rows(word="thema"), rows())
    assert {f.value for f, _ in found.values()} == {0}


def test_rows_without_passage_or_words_of_their_own_are_not_asked():
    bare = Rows.from_records([{"question": "is it so?", "answer": "yes", "context": "it is"}] * 30,
                             {"prompt": "question", "response": "answer", "context": "context"})  # fmt: skip
    assert grounding(bare) == {}
    check = GroundingCheck()
    assert check.summarise(Batch(bare, bare.texts())).n_rows == 0


def test_one_passage_for_all_rows_tells_nothing():
    one = [{"question": f"what {i}?", "answer": f"topic{i}", "context": "the passage"} for i in range(50)]
    assert grounding(Rows.from_records(one, {"prompt": "question", "response": "answer", "context": "context"})) == {}


def test_summaries_merge_in_any_order_and_batch():
    check, whole = GroundingCheck(max_rows=50), batch(rows(swapped=60))
    parts = [check.summarise(whole.take(range(i, min(i + 33, 200)))) for i in range(0, 200, 33)]
    forth = back = None
    for part in parts:
        forth = part if forth is None else check.merge(forth, part)
    for part in reversed(parts):
        back = part if back is None else check.merge(back, part)
    assert forth.draws == back.draws == check.summarise(whole).draws
    told = [check.score(whole, check.conclude(s, None, None, None)) for s in (forth, back)]
    assert told[0] == told[1] and told[0]["grounding.passage"]


def test_nonsense_is_refused():
    with pytest.raises(SettingsError, match=r"(?s)max_rows.*n_others"):
        GroundingCheck(max_rows=3, n_others=2)
    broken = batch(rows())
    broken.context_embeddings[0] = np.nan
    with pytest.raises(DataError, match="finite"):
        GroundingCheck().summarise(broken)


def test_rows_beyond_the_sample_are_scored():
    check, whole = GroundingCheck(max_rows=100), batch(rows(swapped=60))
    summary = check.summarise(whole)
    scores = check.score(whole, check.conclude(summary, None, None, None))["grounding.passage"]
    assert len(summary.ids) == 100 and len(set(scores) - set(summary.ids)) > 10
