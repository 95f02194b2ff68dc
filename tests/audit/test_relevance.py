"""Answers that belong to other questions, planted and found."""

import pytest

from unflaw._errors import SettingsError
from unflaw.audit import RelevanceCheck, audit
from unflaw.data import Rows

N_TOPICS = 50


def rows(n, swap=0):
    """Questions and answers that share a word of their own; the first `swap` answers are passed round."""
    words = [f"topic{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(n)]
    answers = [*words[1:swap], *words[:1], *words[swap:]] if swap else words
    records = [{"question": f"{w} {w} {w}", "answer": f"{a} {a}"} for w, a in zip(words, answers, strict=True)]
    return Rows.from_records(records, {"prompt": "question", "response": "answer"})


def finding(synthetic, reference=None):
    (found,) = audit(synthetic, reference, checks=[RelevanceCheck()], encoder=HashedWords()).findings
    return found


class HashedWords:
    """One random direction per set of words: the same words lie together, and others anywhere."""

    def encode(self, texts):
        import zlib

        import numpy as np

        drawn = (np.random.default_rng(zlib.crc32(text.split()[0].encode())).standard_normal(64) for text in texts)
        x = np.stack(list(drawn)).astype(np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_answers_that_belong_to_their_questions_are_fine():
    assert finding(rows(100), rows(200)).value == 0
    assert finding(rows(100)).verdict == "ok"


def test_about_half_of_the_answers_taken_from_other_rows_are_found_and_no_other():
    synthetic = rows(200, swap=80)
    found = finding(synthetic, rows(300))
    assert found.verdict == "fail"
    assert set(found.row_scores) <= set(synthetic.ids[:80])
    assert 20 <= len(found.row_scores) <= 60  # Binomial(80, 1/2)
    assert all("other questions" in reason for reason in found.row_reasons.values())


def test_rows_without_a_prompt_are_not_asked():
    texts = Rows.from_records([{"text": f"row {i}"} for i in range(60)], {"text": "text"})
    from unflaw.audit import LanguagesCheck

    found = audit(texts, checks=[RelevanceCheck(), LanguagesCheck()])
    assert "prompt and a response" in found.skipped["relevance"]


@pytest.mark.parametrize("settings", [{"max_rows": 3}, {"n_others": 1}])
def test_nonsense_is_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        RelevanceCheck(**settings)
