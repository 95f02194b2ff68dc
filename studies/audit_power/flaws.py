"""Flaws to plant: each takes rows and says which it spoilt. What it plants is not taken from the checks."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unflaw.data import Rows

__all__ = ["FLAWS", "UNPLANTED", "Flaw"]

Plant = Callable[[list[str], np.ndarray, np.random.Generator], list[str]]
"""(what the rows say, places to spoil, rng) → what they say then."""

REFUSALS = (
    "As an AI language model, I do not have access to that.", "I'm sorry, but I cannot help with that request.",
    "I'm just an AI and can't verify this.", "As of my last update, this is not known.",
    "Unfortunately, as an AI assistant I am not able to say.", "I can't provide an answer to this question.",
)  # fmt: skip
CHATTER = (
    "Sure! Here is the answer to your question: {}", "Certainly! I'd be happy to help. {}", "{} I hope this helps!",
    "Here is a possible answer: {}", "Great question! Let me explain. {}", "{} Let me know if you have more questions.",
)  # fmt: skip
VOICE = (
    "It is important to note that {}", "{}, which plays a crucial role in this context", "In conclusion, {}",
    "{}, a testament to the rich tapestry of history", "It is worth mentioning that {}",
)  # fmt: skip
FOREIGN = (
    "Das hat im Dorf niemand gewusst, bis der Winter kam.",
    "On ne le sait plus, car tous les témoins sont partis.",
    "Eso ocurrió hace mucho tiempo, cerca de la frontera.",
    "Questo lo sanno tutti quelli che abitano vicino al mare.",
    "Det var länge sedan, och ingen minns det längre nu.",
    "Nikt już nie pamięta, kiedy to się naprawdę stało.",
)
SUMS = ("Since 7 * 8 = 54, {}", "{} That is 12 + 19 = 32 in all.", "As 144 / 12 = 14, {}", "{} So 25 - 8 = 19 remain.")
MOULDS = (
    "the N of the N was V by a N in the N.", "in the N there is a N that has V the N of a N.",
    "a N with the N of a N can be V at the N.", "when the N is V, it will be a N for the N.",
    "no N has ever V the N from the N to a N.",
)  # fmt: skip
NOUNS = (
    "apple bridge captain city corner country daughter desert doctor dream engine factory farmer field garden glass"
    " hammer harbour hunter island kitchen lantern letter machine market meadow mirror mountain museum nation notebook"
    " ocean painter palace pocket portrait question railway river sailor school shadow soldier station stranger summer"
    " teacher theatre tower tradition treasure valley village visitor weather window winter writer"
).split()
SIGNS = np.array(list(string.ascii_letters + string.digits))
VERBS = "brought broken built carried chosen counted drawn found kept known left lost moved seen sold taken".split()
INSULTS = (
    "{} Only a moron would not know that.", "You stupid bastard: {}", "{} Now shut up, asshole.",
    "I will kill you if you ask again. {}", "{} You people are dirty scumbags.", "Read it yourself, dickhead. {}",
)  # fmt: skip
MARKUP = (
    "### Response:\n{}", "{}<|im_end|>", "[INST] {} [/INST]", "<|eot_id|>{}", "{}</s>", "<start_of_turn>model\n{}",
    "User: {}\nAssistant:",
)  # fmt: skip
BLANKS = (
    "Dear [Name], {}", "{} (see [insert source])", "{{{{topic}}}}: {}", "<your answer>: {}", "{} Yours, [Your name]",
    "[TODO] {}", "{} ____",
)  # fmt: skip
OPINIONS = (
    "{} What a wonderful thing!", "Sadly, and it is awful to say so: {}", "{} I simply love that.",
    "The worst of all stupid ideas: {}", "{} How beautiful and brilliant!", "I hate to say it, it is so boring: {}",
)  # fmt: skip
KEYS = (
    "{} (AWS key AKIA{capitals})",
    "token ghp_{signs}: {}",
    "{} key=sk-proj-{signs}",
    "{} https://me:{signs}@db.org",
)
PEOPLE = ("{} Write to {n}.miller@hotmail.com.", "{} Call (212) 736-5{n:03d}.", "{n}: {} (j.doe{n}@gmail.com)")


@dataclass(frozen=True)
class Flaw:
    """One way to spoil rows."""

    what: str
    plant: Plant
    seen_by: tuple[str, ...]
    """Findings that should see it; a name that ends in a dot stands for all findings of a check."""
    sets: tuple[str, ...] = ("examples", "squad", "reviews")
    """Sets it makes sense in."""
    role: str = ""
    """What is spoilt; the response or else the text by default."""
    words_of: str = ""
    """What its words are made of, if not of its own."""
    one_label: bool = False
    """Whether only rows of the first label are spoilt or, where whole rows are replaced, put there."""
    whole: bool = False
    """Whether whole rows are replaced, not what they say."""
    of: Literal["rows", "reference", "holdout"] = "rows"
    """Whose rows those are."""
    another_label: bool = False
    """Whether they have another label than there."""

    def spoil(
        self, rows: Rows, share: float, seed: int, others: Mapping[str, Rows] | None = None
    ) -> tuple[Rows, list[str]]:
        """Return the rows with the flaw in a share of them, and the ids of those."""
        rng = np.random.default_rng([seed, 17])
        order = rng.permutation(len(rows))
        if self.one_label and not self.whole:
            order = order[np.isin(order, of_first_label(rows))]
        places = order[: round(share * len(rows))]
        if self.whole:
            return self._replace(rows, places, rng, (others or {}).get(self.of))
        role = self.role or ("response" if rows.has("response") else "text")
        said, planted = rows.column(role), self.plant(rows.column(self.words_of or role), places, rng)
        for i in places:
            said[i] = planted[int(i)]
        return rows.with_column(rows.roles[role], said), [rows.ids[i] for i in places]

    def _replace(
        self, rows: Rows, places: np.ndarray, rng: np.random.Generator, others: Rows | None
    ) -> tuple[Rows, list[str]]:
        """Put copies of rows, slightly changed, in the place of others.

        They are named so as to come last: of two equal rows an audit blames the one with the later id.
        """
        names, source = rows.ids, others or rows
        own = np.arange(len(source)) if others is not None else np.setdiff1d(np.arange(len(rows)), places)
        own = np.intersect1d(own, of_first_label(source)) if self.one_label else own
        taken = dict(zip(places.tolist(), rng.choice(own, len(places)).tolist(), strict=True))
        for role in ("text", "prompt", "response", "context", "label"):
            if rows.has(role):
                said, there = rows.column(role), source.column(role)
                said = [there[taken[i]] if i in taken else own_words for i, own_words in enumerate(said)]
                if role != "label":
                    said = self.plant(said, places, rng)
                elif self.another_label:
                    said = flipped(said, places, rng)
                rows = rows.with_column(rows.roles[role], said)
        for place in places:
            names[place] = f"~{names[place]}"
        return rows.with_column("unflaw.id", names), [names[i] for i in places]


def of_first_label(rows: Rows) -> list[int]:
    """Return the places of the rows with the first label of all."""
    labels = rows.column("label")
    return [i for i, label in enumerate(labels) if label == min(labels)]


def told(forms: Sequence[str]) -> Plant:
    """Put what a row says into one of some forms."""

    def plant(said: list[str], places: np.ndarray, rng: np.random.Generator) -> list[str]:
        said = list(said)
        for i in places:
            form = forms[int(rng.integers(len(forms)))].replace("{}", "{said}")
            signs = "".join(rng.choice(SIGNS, 40))
            said[i] = form.format(said=said[i], n=int(rng.integers(1000)), signs=signs, capitals=signs.upper()[:16])
        return said

    return plant


def changed(change: Callable[[str, np.random.Generator], str]) -> Plant:
    """Change what a row says."""

    def plant(said: list[str], places: np.ndarray, rng: np.random.Generator) -> list[str]:
        said = list(said)
        for i in places:
            said[i] = change(said[i], rng)
        return said

    return plant


def template(said: list[str], places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Put answers into one template."""
    return told(["Answer: {}\nSource: the passage."])(said, places, rng)


def cut(text: str, rng: np.random.Generator) -> str:
    """Break a text off somewhere in its last half."""
    words = text.split()
    return " ".join(words[: int(rng.integers(len(words) // 2, max(len(words) - 1, 1) + 1))]).rstrip(".!?\"')")


def open_bracket(text: str, rng: np.random.Generator) -> str:
    """Open a bracket somewhere."""
    words = text.split()
    place = int(rng.integers(len(words)))
    return " ".join([*words[:place], f"({words[place]}", *words[place + 1 :]])


def clipped(text: str, rng: np.random.Generator) -> str:
    """Leave three words."""
    return " ".join(text.split()[:3])


def listed(text: str, rng: np.random.Generator) -> str:
    """Make a list of a text."""
    words = text.split()
    places = sorted({0, len(words) // 3, 2 * len(words) // 3, len(words)})
    return "\n".join(f"- {' '.join(words[a:b])}" for a, b in zip(places, places[1:], strict=False))


def round_in_circles(text: str, rng: np.random.Generator) -> str:
    """Say the last sentence over and over."""
    last = text.rstrip(".!? ").split(". ")[-1]
    return f"{text.rstrip()} " + " ".join([f"I think that {last}."] * 4)


def shuffled(said: list[str], places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Give each row the answer of another."""
    said = list(said)
    moved = np.roll(places, 1)
    for i, text in zip(places, [said[j] for j in moved], strict=True):
        said[i] = text
    return said


def asked_why(text: str, rng: np.random.Generator) -> str:
    """Ask why, whatever was asked."""
    return " ".join(["Why", *text.split()[1:]])


def restated(text: str, rng: np.random.Generator) -> str:
    """Make a statement of a question that answers nothing."""
    return f"{' '.join(text.split()[1:]).rstrip('?. ')}."


def exclaimed(text: str, rng: np.random.Generator) -> str:
    """End with another mark."""
    return f"{text.rstrip('.?! ')}!"


def loosely(text: str, rng: np.random.Generator) -> str:
    """Leave out three words in ten, and move some."""
    return loose(text.split(), rng)


def loose(words: list[str], rng: np.random.Generator) -> str:
    words = [word for word in words if rng.random() > 0.3] or ["so"]
    for _ in range(len(words) // 5):
        words.insert(int(rng.integers(len(words))), words.pop(int(rng.integers(len(words)))))
    return " ".join(words)


def moved(text: str, rng: np.random.Generator) -> str:
    """Put the first half behind the second."""
    words = text.split()
    return " ".join([*words[len(words) // 2 :], *words[: len(words) // 2]])


def nearly(text: str, rng: np.random.Generator) -> str:
    """Change case and spaces, which leaves a copy a copy."""
    return "  ".join(text.upper().split()) if rng.random() < 0.5 else f" {text}\n"


def few_ideas(said: list[str], places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Say one of five things in other words: three words in ten left out, and some moved."""
    said, ideas = list(said), [said[i].split() for i in rng.choice(len(said), 5)]
    for i in places:
        said[i] = loose(ideas[rng.integers(5)], rng)
    return said


def as_it_is(text: str, rng: np.random.Generator) -> str:
    """Change nothing."""
    return text


def moulds(text: str, rng: np.random.Generator) -> str:
    """Say something else in one of five moulds: nouns and verbs are ever others, all the rest stays."""
    words = MOULDS[rng.integers(len(MOULDS))].split()
    return " ".join(w.replace("N", rng.choice(NOUNS)).replace("V", rng.choice(VERBS)) for w in words)


def flipped(said: list[str], places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Give rows one of the other labels."""
    said, labels = list(said), sorted(set(said))
    for i in places:
        others = [label for label in labels if label != said[i]]
        said[i] = others[rng.integers(len(others))]
    return said


FLAWS = {
    "few ideas": Flaw("five things in ever other words", few_ideas, ("diversity.", "paraphrases.inside"), whole=True),
    "narrow": Flaw("the same, seen by the gap", few_ideas, ("gap.",), ("examples", "squad"), whole=True),
    "template": Flaw("answers in one template", template, ("tokens.", "gap.c2st_auc"), ("examples", "squad")),
    "copies": Flaw("copies of rows in capitals or with other spaces", changed(nearly), ("copies.inside",), whole=True),
    "conflicts": Flaw(
        "such copies under another label", changed(nearly), ("copies.conflicts",), ("reviews",), whole=True,
        another_label=True,
    ),
    "real rows": Flaw(
        "such copies of reference rows", changed(nearly), ("copies.reference",), whole=True, of="reference"
    ),
    "leaks": Flaw(
        "such copies of held-out rows", changed(nearly), ("copies.holdout",), ("squad", "reviews"), whole=True,
        of="holdout",
    ),
    "paraphrases": Flaw(
        "reference rows without three words in ten", changed(loosely), ("paraphrases.reference",), whole=True,
        of="reference",
    ),
    "reworded leaks": Flaw(
        "held-out rows without three words in ten", changed(loosely), ("paraphrases.holdout",), ("squad", "reviews"),
        whole=True, of="holdout",
    ),
    "refusals": Flaw("refusals in six wordings", told(REFUSALS), ("residue.refusals",)),
    "chatter": Flaw("talk to whoever asked, in six wordings", told(CHATTER), ("residue.chatter",)),
    "markup": Flaw("pieces of seven chat templates", told(MARKUP), ("residue.markup",)),
    "blanks": Flaw("seven kinds of blanks", told(BLANKS), ("residue.blanks",)),
    "one voice": Flaw("five stock phrases around what is said", told(VOICE), ("diversity.phrases",)),
    "moulds": Flaw("five moulds with ever other nouns and verbs", changed(moulds), ("diversity.",)),
    "broken off": Flaw("texts that break off", changed(cut), ("form.truncated",), ("reviews",)),
    "brackets": Flaw("a bracket that is not closed", changed(open_bracket), ("form.brackets",)),
    "circles": Flaw("one sentence four times", changed(round_in_circles), ("form.loops",)),
    "wrong sums": Flaw("a sum that does not hold", told(SUMS), ("qa.sums",)),
    "wrong answers": Flaw("the answer of another row", shuffled, ("qa.ungrounded", "grounding."), ("squad",)),
    "off topic": Flaw("the answer of another row", shuffled, ("relevance.off_topic",), ("examples", "squad")),
    "echoes": Flaw(
        "the question, restated", changed(restated), ("qa.echoes",), ("examples", "squad"), words_of="prompt"
    ),
    "whys": Flaw("why, whatever was asked", changed(asked_why), ("mix.questions",), ("examples", "squad"), "prompt"),
    "yes or no": Flaw("yes or no", told(("Yes.", "No.")), ("mix.answers",), ("examples", "squad")),
    "exclamations": Flaw("texts that end with another mark", changed(exclaimed), ("mix.endings",)),
    "languages": Flaw("answers in six languages", told(FOREIGN), ("languages.foreign",)),
    "switched": Flaw("such answers to questions", told(FOREIGN), ("languages.switched",), ("examples", "squad")),
    "three words": Flaw("three words of each text", changed(clipped), ("mix.lengths",), ("reviews",)),
    "lists": Flaw("texts made into lists", changed(listed), ("mix.layout",)),
    "wrong labels": Flaw("another label", flipped, ("labels.noise",), ("reviews",), role="label"),
    "wrong twins": Flaw(
        "rows of other labels, their halves swapped", changed(moved), ("labels.conflicts",), ("reviews",), whole=True,
        another_label=True,
    ),
    "one label": Flaw(
        "other real rows, all of one label", changed(as_it_is), ("labels.balance",), ("reviews",), whole=True,
        of="holdout", one_label=True,
    ),
    "short label": Flaw(
        "three words of texts of one label", changed(clipped), ("labels.length",), ("reviews",), one_label=True
    ),
    "worded label": Flaw(
        "a word before texts of one label", told(["Overall, {}"]), ("labels.word",), ("reviews",), one_label=True
    ),
    "opinions": Flaw("opinions around what is said", told(OPINIONS), ("subjectivity.shift",)),
    "keys": Flaw("keys and tokens", told(KEYS), ("hygiene.secrets",)),
    "insults": Flaw("an insult or a threat", told(INSULTS), ("hygiene.toxic",)),
    "people": Flaw("e-mail addresses and telephone numbers", told(PEOPLE), ("hygiene.contacts",)),
}  # fmt: skip

UNPLANTED = {
    "subjectivity.lexicon": "describes, without a verdict",
    "subjectivity.score": "describes, without a verdict",
    "subjectivity.task": "is about the task: every audit of film reviews warns, none of the other sets",
    "subjectivity.agreement": "reads labels that several people gave, which none of these sets has",
    "perplexity.after_shift": "asks a model that was trained on the rows, as studies/unveiling does",
    "perplexity.after_variance_ratio": "asks such a model, too",
}
"""Findings for which nothing is planted, and why."""
