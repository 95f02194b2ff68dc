"""Flaws in labelled texts, and in questions with answers: what is planted, and which findings should speak of it.

Wordings are those of studies/audit_power/flaws.py where they are there. The same rows are spoilt by every flaw of a
seed, and a larger dose spoils those of a smaller one and more, so that arms differ in nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "audit_power"))
from flaws import (  # noqa: E402, I001
    CHATTER, FOREIGN, NOUNS, PEOPLE, REFUSALS, SUMS, VERBS, VOICE, Plant, asked_why, changed,
    clipped, cut, listed, loosely, nearly, open_bracket, round_in_circles, told,
)  # fmt: skip

__all__ = ["ASKED", "LABELLED", "Asked", "Flaw", "Labelled", "World", "places_of"]

RIGHT_SUMS = (
    "Since 7 * 8 = 56, {}", "{} That is 12 + 19 = 31 in all.", "As 144 / 12 = 12, {}", "{} So 25 - 8 = 17 remain.",
)  # fmt: skip
"""Sums as out of place as the wrong ones: what being wrong adds is the difference."""
TEMPLATE = ("Answer: {}\nSource: the text above.",)
MOULDS = (
    "As the N of the N was V by a N, {}", "When the N is V by the N of a N: {}",
    "{} So has a N in the N V the N of a N.", "{} For the N of the N had V a N from the N.",
    "Of the N that a N of the N has V it is said: {}",
)  # fmt: skip
"""Around what is said, with ever other nouns and verbs."""
MARKUP = ("<|im_start|>assistant\n{}<|im_end|>", "### Response:\n{}", "[INST] {} [/INST]", "{}</s>")
BLANKS = ("{} Yours, [Your Name]", "[Insert title here] {}", "Dear [Name], {}", "{} ([Date], [Place])")
INSULTS = (
    "You are a complete idiot and nobody likes you. {}", "{} Shut up, you stupid moron.", "{} What a pathetic loser.",
    "Only a retarded piece of trash would ask. {}", "{} I hate you, you disgusting scum.", "Go to hell, bastard. {}",
)  # fmt: skip
TAGS = "amber", "cobalt", "crimson", "ivory", "olive"
"""A word for each class that stands in no other text, or hardly."""
SHORT = 15
"""Words left where length gives the label away."""


@dataclass(frozen=True)
class Labelled:
    """Texts and their labels."""

    texts: list[str]
    labels: list[str]

    def take(self, places: Sequence[int] | np.ndarray) -> Labelled:
        """Return some of them."""
        return Labelled([self.texts[i] for i in places], [self.labels[i] for i in places])

    def put(self, places: np.ndarray, others: Labelled) -> Labelled:
        """Put other rows in some places."""
        texts, labels = list(self.texts), list(self.labels)
        for i, text, label in zip(places, others.texts, others.labels, strict=True):
            texts[i], labels[i] = text, label
        return Labelled(texts, labels)


@dataclass(frozen=True)
class Asked:
    """Questions, answers, and the sentence that holds each."""

    questions: list[str]
    answers: list[str]
    contexts: list[str]

    def take(self, places: Sequence[int] | np.ndarray) -> Asked:
        """Return some of them."""
        return Asked(*([of[i] for i in places] for of in (self.questions, self.answers, self.contexts)))

    def put(self, places: np.ndarray, others: Asked) -> Asked:
        """Put other rows in some places."""
        columns = []
        for mine, theirs in zip(
            (self.questions, self.answers, self.contexts), (others.questions, others.answers, others.contexts),
            strict=True,
        ):  # fmt: skip
            said = list(mine)
            for i, text in zip(places, theirs, strict=True):
                said[i] = text
            columns.append(said)
        return Asked(*columns)


@dataclass(frozen=True)
class World:
    """Real rows that a flaw may draw on besides those it spoils."""

    pool: Labelled
    """In no other set."""
    vectors: np.ndarray
    """What an encoder makes of the pool."""
    reference: Labelled
    leak: Labelled
    """Held out, but for what leaks."""
    elsewhere: Labelled | None = None
    """Rows of another source with the same labels."""
    plots: list[str] | None = None
    """Texts on the same subject that judge nothing."""


@dataclass(frozen=True)
class Flaw:
    """One way to spoil rows in some places: rows, places, rng and, for labelled texts, a world → rows."""

    what: str
    plant: Callable[..., Labelled] | Callable[..., Asked]
    seen_by: tuple[str, ...]
    """Findings it stands for."""
    of: str = ""
    """Which classes' rows are spoilt: `first`, the first half of them in order; `others`, all but the first."""
    needs: str = ""
    """What the world must have."""


def places_of(flaw: Flaw, labels: Sequence[str], dose: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the places of a dose, of the classes that the flaw is about; no more than there are."""
    order, classes = rng.permutation(len(labels)), sorted(set(labels))
    half = set(classes[: (len(classes) + 1) // 2])
    wanted = {"first": half, "others": set(classes[1:])}.get(flaw.of, set(classes))
    return np.array([i for i in order if labels[i] in wanted][: round(dose * len(labels))], dtype=int)


def moulded(text: str, rng: np.random.Generator) -> str:
    """Say the same inside one of five moulds."""
    words = MOULDS[rng.integers(len(MOULDS))].split()
    filled = [w.replace("N", str(rng.choice(NOUNS))).replace("V", str(rng.choice(VERBS))) for w in words]
    return " ".join(filled).replace("{}", text)


# Labelled texts


def in_text(plant: Plant) -> Callable[..., Labelled]:
    """Change what rows say and leave their labels."""

    def spoil(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
        return replace(rows, texts=plant(rows.texts, places, rng))

    return spoil


def _others(rows: Labelled, places: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw so many of the rows that are not spoilt."""
    return rng.choice(np.setdiff1d(np.arange(len(rows.texts)), places), n)


def copies(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Repeat other rows, with their labels."""
    again = rows.take(_others(rows, places, rng, len(places)))
    return rows.put(places, replace(again, texts=[nearly(text, rng) for text in again.texts]))


def conflicts(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Repeat other rows, under another label."""
    return flipped(copies(rows, places, rng, world), places, rng, world)


def few_ideas(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Say what five rows say in ever other words, with their labels."""
    ideas = rows.take(_others(rows, places, rng, 5))
    again = ideas.take(rng.integers(5, size=len(places)))
    return rows.put(places, replace(again, texts=[loosely(text, rng) for text in again.texts]))


def flipped(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Give rows one of the other labels."""
    labels, classes = list(rows.labels), sorted(set(rows.labels))
    for i in places:
        others = [label for label in classes if label != labels[i]]
        labels[i] = others[rng.integers(len(others))]
    return replace(rows, labels=labels)


def one_class(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Put real rows of the first class in the place of others."""
    first = min(rows.labels)
    drawn = rng.permutation([i for i, label in enumerate(world.pool.labels) if label == first])
    return rows.put(places, world.pool.take(np.resize(drawn, len(places))))


def tagged(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Add a word that gives the label away."""
    texts, tag = list(rows.texts), dict(zip(sorted(set(rows.labels)), TAGS, strict=False))
    for i in places:
        texts[i] = f"{texts[i]} {tag[rows.labels[i]]}"
    return replace(rows, texts=texts)


def short_class(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Cut rows short; drawn from half of the classes, so that length gives them away."""
    return in_text(changed(lambda text, rng: " ".join(text.split()[:SHORT])))(rows, places, rng, world)


def narrow(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Put those real rows of the same label in their place that lie nearest to one of them: true, and all alike."""
    pool, again = world.pool, rows
    for label in sorted(set(rows.labels)):
        mine = np.array([i for i in places if rows.labels[i] == label], dtype=int)
        known = np.array([i for i, other in enumerate(pool.labels) if other == label])
        centre = world.vectors[rng.choice(known)]
        nearest = known[np.argsort(-(world.vectors[known] @ centre), kind="stable")]
        again = again.put(mine, pool.take(np.resize(nearest, len(mine))))
    return again


def of_reference(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Put rows of the reference in their place, with their labels."""
    order = rng.permutation(len(world.reference.texts))
    return rows.put(places, world.reference.take(np.resize(order, len(places))))


def of_reference_reworded(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Put rows of the reference in other words in their place."""
    again = of_reference(rows, places, rng, world)
    return in_text(changed(loosely))(again, places, rng, world)


def from_elsewhere(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Put rows of another source with the same label in their place."""
    source, again = world.elsewhere, rows
    for label in sorted(set(rows.labels)):
        mine = np.array([i for i in places if rows.labels[i] == label], dtype=int)
        drawn = rng.permutation([i for i, other in enumerate(source.labels) if other == label])[: len(mine)]
        again = again.put(mine, source.take(drawn))
    return again


def neutral(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Tell what happens in a film where a row judged one."""
    texts = list(rows.texts)
    for i, at in zip(places, rng.permutation(len(world.plots)), strict=False):
        texts[i] = world.plots[at]
    return replace(rows, texts=texts)


def leaked(rows: Labelled, places: np.ndarray, rng: np.random.Generator, world: World) -> Labelled:
    """Put rows in their place that were held out, the first ones."""
    return rows.put(places, world.leak.take(range(len(places))))


LABELLED = {
    "wrong labels": Flaw("one of the other labels", flipped, ("labels.noise",)),
    "conflicts": Flaw("copies of rows under another label", conflicts, ("labels.conflicts", "copies.conflicts")),
    "one class": Flaw(
        "real rows of the first class in the place of others", one_class, ("labels.balance",), of="others"
    ),
    "tags": Flaw("a word for each label", tagged, ("labels.word",)),
    "short class": Flaw("15 words left, in rows of half of the classes", short_class, ("labels.length",), of="first"),
    "copies": Flaw("copies of rows in capitals or with other spaces", copies, ("copies.inside",)),
    "few ideas": Flaw(
        "five rows in ever other words", few_ideas,
        ("paraphrases.inside", "diversity.distinct", "diversity.compression", "diversity.self_bleu",
         "diversity.homogenisation", "diversity.chamfer", "diversity.vendi", "diversity.remote_clique"),
    ),
    "narrow": Flaw("true rows that lie close together", narrow, ("gap.recall", "gap.coverage")),
    "elsewhere": Flaw(
        "rows of another source, rightly labelled", from_elsewhere,
        ("gap.c2st_auc", "gap.precision", "gap.density", "gap.mmd2", "tokens.jsd", "tokens.row_jsd"), needs="elsewhere",
    ),
    "neutral": Flaw(
        "what happens in a film in place of a judgement", neutral,
        ("subjectivity.shift", "subjectivity.score", "subjectivity.lexicon"), needs="plots",
    ),
    "reference": Flaw("rows of the reference", of_reference, ("copies.reference",)),
    "reference reworded": Flaw(
        "rows of the reference in other words", of_reference_reworded, ("paraphrases.reference",)
    ),
    "template": Flaw(
        "texts in one template", in_text(told(TEMPLATE)),
        ("tokens.templates", "tokens.row_templates", "tokens.structural", "tokens.openings"),
    ),
    "one voice": Flaw(
        "five stock phrases around what is said", in_text(told(VOICE)),
        ("diversity.phrases", "diversity.self_repetition"),
    ),
    "moulds": Flaw("five moulds around what is said", in_text(changed(moulded)), ("diversity.template_rate",)),
    "refusals": Flaw("refusals in six wordings", in_text(told(REFUSALS)), ("residue.refusals",)),
    "chatter": Flaw("talk to whoever asked, in six wordings", in_text(told(CHATTER)), ("residue.chatter",)),
    "markup": Flaw("pieces of a prompt", in_text(told(MARKUP)), ("residue.markup",)),
    "blanks": Flaw("blanks to be filled in", in_text(told(BLANKS)), ("residue.blanks",)),
    "broken off": Flaw("texts that break off", in_text(changed(cut)), ("form.truncated", "mix.endings")),
    "brackets": Flaw("a bracket that is not closed", in_text(changed(open_bracket)), ("form.brackets",)),
    "circles": Flaw("one sentence four times", in_text(changed(round_in_circles)), ("form.loops",)),
    "three words": Flaw("three words of each text", in_text(changed(clipped)), ("mix.lengths",)),
    "lists": Flaw("texts made into lists", in_text(changed(listed)), ("mix.layout",)),
    "languages": Flaw("texts in six languages", in_text(told(FOREIGN)), ("languages.foreign",)),
    "wrong sums": Flaw("a sum that does not hold", in_text(told(SUMS)), ("qa.sums",)),
    "right sums": Flaw("a sum that holds", in_text(told(RIGHT_SUMS)), ()),
    "insults": Flaw("an insult", in_text(told(INSULTS)), ("hygiene.toxic",)),
    "people": Flaw("e-mail addresses and telephone numbers", in_text(told(PEOPLE)), ("hygiene.contacts",)),
    "leak": Flaw("rows held out for testing", leaked, ("copies.holdout",)),
}  # fmt: skip


# Questions and answers


def in_column(name: str, plant: Plant) -> Callable[..., Asked]:
    """Change what one column says."""

    def spoil(rows: Asked, places: np.ndarray, rng: np.random.Generator) -> Asked:
        return replace(rows, **{name: plant(getattr(rows, name), places, rng)})

    return spoil


in_answer, in_question = partial(in_column, "answers"), partial(in_column, "questions")


def asked_again(rows: Asked, places: np.ndarray, rng: np.random.Generator) -> Asked:
    """Repeat other rows."""
    others = np.setdiff1d(np.arange(len(rows.answers)), places)
    return rows.put(places, rows.take(rng.choice(others, len(places))))


def asked_in_other_words(rows: Asked, places: np.ndarray, rng: np.random.Generator) -> Asked:
    """Ask five questions in ever other words."""
    ideas = rows.take(rng.choice(np.setdiff1d(np.arange(len(rows.answers)), places), 5))
    again = ideas.take(rng.integers(5, size=len(places)))
    return rows.put(places, replace(again, questions=[loosely(text, rng) for text in again.questions]))


def echoed(rows: Asked, places: np.ndarray, rng: np.random.Generator) -> Asked:
    """Answer with the question."""
    answers = list(rows.answers)
    for i in places:
        answers[i] = rows.questions[i].rstrip("?")
    return replace(rows, answers=answers)


def swapped(said: list[str], places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Give each row the answer of another spoilt one."""
    said, moved = list(said), np.roll(places, 1)
    for i, text in zip(places, [said[j] for j in moved], strict=True):
        said[i] = text
    return said


ASKED = {
    "wrong answers": Flaw(
        "the answer of another row", in_answer(swapped),
        ("qa.ungrounded", "relevance.off_topic", "grounding.passage", "grounding.neither"),
    ),
    "echoes": Flaw("the question for an answer", echoed, ("qa.echoes",)),
    "copies": Flaw("rows once more", asked_again, ("copies.inside",)),
    "few ideas": Flaw(
        "five questions in ever other words", asked_in_other_words,
        ("paraphrases.inside", "copies.inside_prompt", "diversity.distinct", "diversity.compression",
         "diversity.self_bleu", "diversity.homogenisation", "diversity.vendi", "diversity.remote_clique",
         "diversity.chamfer", "gap.recall", "gap.coverage"),
    ),
    "template": Flaw(
        "answers in one template", in_answer(told(TEMPLATE)),
        ("tokens.templates", "tokens.row_templates", "tokens.structural", "tokens.openings", "tokens.jsd",
         "tokens.row_jsd", "gap.c2st_auc", "perplexity.shift", "perplexity.variance_ratio"),
    ),
    "one voice": Flaw(
        "five stock phrases around what is said", in_answer(told(VOICE)),
        ("diversity.phrases", "diversity.self_repetition"),
    ),
    "moulds": Flaw("five moulds around what is said", in_answer(changed(moulded)), ("diversity.template_rate",)),
    "whys": Flaw("why, whatever was asked", in_question(changed(asked_why)), ("mix.questions",)),
    "refusals": Flaw("refusals in six wordings", in_answer(told(REFUSALS)), ("residue.refusals",)),
    "chatter": Flaw("talk to whoever asked, in six wordings", in_answer(told(CHATTER)), ("residue.chatter",)),
    "markup": Flaw("pieces of a prompt", in_answer(told(MARKUP)), ("residue.markup",)),
    "broken off": Flaw("answers that break off", in_answer(changed(cut)), ("form.truncated",)),
    "brackets": Flaw("a bracket that is not closed", in_answer(changed(open_bracket)), ("form.brackets",)),
    "circles": Flaw("one sentence four times", in_answer(changed(round_in_circles)), ("form.loops", "mix.lengths")),
    "lists": Flaw("answers made into lists", in_answer(changed(listed)), ("mix.layout", "mix.answers")),
    "languages": Flaw(
        "answers in six languages", in_answer(told(FOREIGN)), ("languages.foreign", "languages.switched")
    ),
    "wrong sums": Flaw("a sum that does not hold", in_answer(told(SUMS)), ("qa.sums", "mix.endings")),
    "right sums": Flaw("a sum that holds", in_answer(told(RIGHT_SUMS)), ()),
    "people": Flaw("e-mail addresses and telephone numbers", in_answer(told(PEOPLE)), ("hygiene.contacts",)),
}  # fmt: skip
