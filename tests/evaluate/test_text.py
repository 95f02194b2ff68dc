"""Log-perplexity and pattern rate, by hand."""

import math

import numpy as np
import pytest

from unflaw._errors import DataError
from unflaw.data import Rows
from unflaw.evaluate import pattern_rate, text_perplexity
from unflaw.measure import Phrase, Template
from unflaw.models import UnigramScorer


class Fixed:
    """Scores every character but the first with -len(text)."""

    def log_probs(self, pairs):
        return [np.full(max(len(text) - 1, 0), -float(len(text)), np.float32) for _, text in pairs]


def texts(*found):
    return Rows.from_records([{"text": t} for t in found], {"text": "text"})


def test_rows_count_equally_however_long():
    score = text_perplexity(Fixed(), texts("ab", "abcd"), name="m")
    assert score.value == (2 + 4) / 2
    assert (score.benchmark, score.better, score.unit) == ("text.log_perplexity", "lower", "nats per token")


def test_by_hand_with_a_unigram_model():
    """Counts a: 2, b: 1, one place for the unseen: -log p(a) = log 2, -log p(b) = log 3; first words are not scored."""
    score = text_perplexity(UnigramScorer(["a a b"]), texts("x a b", "x a"))
    assert list(score.items.values()) == pytest.approx([(math.log(2) + math.log(3)) / 2, math.log(2)])


def test_rows_too_short_are_counted():
    seen = []
    score = text_perplexity(Fixed(), texts("ab", "abc", "x"), progress=lambda *done: seen.append(done))
    assert score.n == 2 and score.settings["rows_skipped"] == 1 and seen == [(3, 3)]
    with pytest.raises(DataError, match="1 rows"):
        text_perplexity(Fixed(), texts("x"))


def test_the_batch_does_not_matter():
    many = texts(*("a" * (2 + i % 7) + str(i) for i in range(70)))
    assert text_perplexity(Fixed(), many).items == {
        i: float(len(t)) for i, t in zip(many.ids, many.texts(), strict=True)
    }


def phrase(text, tokens, position):
    return Phrase(tokens, "line", text, position, share=0.9, reference_share=0.0, z=9.0)


TEMPLATE = Template(
    (phrase("Answer:", ("Answer", ":"), "row start"), phrase("Reason:", ("Reason", ":"), "line start")),
    (((0, 1), 0.8), ((), 0.2)),
)


def test_only_an_output_with_all_phrases_falls_into_the_template():
    outputs = {"1": "Answer: yes\nReason: so", "2": "Answer: yes", "3": "It is so.", "4": "The Answer: is Reason:"}
    score = pattern_rate(outputs, TEMPLATE, name="m")
    assert score.items == {"1": 1.0, "2": 0.0, "3": 0.0, "4": 0.0}
    assert (score.benchmark, score.value, score.better) == ("pattern.rate", 0.25, "lower")


def test_any_rule_will_do_and_groups_are_resampled_together():
    outputs = {"a/1": "x", "a/2": "x", "b/1": "y", "b/2": "y"}
    score = pattern_rate(outputs, lambda text: text == "x")
    assert (score.low, score.value, score.high) == (0.0, 0.5, 1.0)
    with pytest.raises(DataError):
        pattern_rate({}, lambda text: True)
