"""Labelled rows that a tiny classifier can learn: two words of each text give its label away."""

import random

from unflaw.data import Rows

WORDS = {"good": ["water", "river", "people"], "bad": ["city", "world", "year"]}
FILLERS = "the of and in to was is for as on with by at from that it".split()


def labelled_rows(n, *, seed=0, noise=0.0, labels=("good", "bad"), **columns):
    """Return n rows of text and label, labels in turn; a share `noise` of the labels is wrong, and marked so."""
    rng = random.Random(seed)
    records = []
    for k in range(n):
        label = labels[k % len(labels)]
        words = [rng.choice(FILLERS) for _ in range(rng.randint(4, 9))]
        for _ in range(2):
            words.insert(rng.randrange(len(words)), rng.choice(WORDS.get(label, [label])))
        wrong = rng.random() < noise
        told = labels[(k + 1) % len(labels)] if wrong else label
        records.append({"text": f"{' '.join(words)} {seed} {k}", "label": told, "wrong": wrong})
    rows = Rows.from_records(records, {"text": "text", "label": "label"})
    for name, values in columns.items():
        rows = rows.with_column(name, list(values))
    return rows


def pair_rows(n, *, seed=0, artefact=0.0):
    """Return n rows of premise and hypothesis: same or other first word; a share says so in the hypothesis alone."""
    rng = random.Random(seed)
    records = []
    for k in range(n):
        label = ("same", "other")[k % 2]
        words = rng.sample(WORDS["good"] + WORDS["bad"], 2)
        first, second = (words[0], words[0]) if label == "same" else words
        told = "not " if label == "other" and rng.random() < artefact else ""
        said = f"{told}{second} {rng.choice(FILLERS)} {k}"
        records.append({"premise": f"{first} {rng.choice(FILLERS)} {seed} {k}", "hypothesis": said, "label": label})
    roles = {"premise": "premise", "hypothesis": "hypothesis", "label": "label"}
    return Rows.from_records(records, roles, schema="premise/hypothesis/label")
