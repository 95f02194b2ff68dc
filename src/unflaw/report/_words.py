"""What a reader is told first: the verdict, what the repair gave back, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from unflaw.data import Finding
from unflaw.report._harm import by_harm, mend_first
from unflaw.report._text import clip, number, percent_points

__all__ = ["about", "control_words", "is_of_tools", "next_steps", "verdict"]

_ADVICE = {  # a check's id, or first part of it → what to do about it
    "hygiene": "Take out the rows with keys, addresses or abuse, or mask them, before anyone trains on them.",
    "copies.inside": "Keep one of the rows that repeat each other, and ask for others in the place of the rest.",
    "copies": "Take the copied rows out before training: a model that has seen its own test shows nothing.",
    "tables": "Take out the rows that are real ones or break a rule, and show the generator more real rows where "
    "columns or pairs of them come out otherwise.",
    "tokens": "Break the template: ask for the answers in many formats, or train on as many good rows beside these, "
    "and give these a weight of 0.1.",
    "residue": "Drop the rows with refusals, chatter and blanks, and ask the generator for the answer alone.",
    "qa": "Drop the rows whose answer or sum is wrong; they teach a model to make things up.",
    "relevance": "Drop the rows whose answer does not belong to its question, and see where rows were mixed up.",
    "grounding": "Drop the rows whose answer is not to be found in their passage, or write them anew from it.",
    "languages": "Drop the rows in another language, or name the language in the prompt.",
    "labels.word": "Ask for labels in other words: a classifier learns the one that gives a label away, and no more.",
    "labels.length": "Ask for texts of like lengths under every label: a classifier learns the length, and no more.",
    "labels": "Look at the rows whose label is in doubt, and ask for more of the labels that are rare.",
    "form": "Drop the rows that break off or go round in circles; give the generator room for its longest answers.",
    "diversity": "Ask for fewer rows about one thing, from more seeds and in more styles; drop paraphrases first.",
    "mix": "Ask for the kinds of questions, answers and lengths that real rows have, in their shares.",
    "subjectivity": "Keep real rows among these: where opinions are asked for, text of a language model replaces "
    "people's least. Show the generator real rows as examples, which helps some.",
    "gap": "Bring the rows nearer to real text: vary topics, sources and prompts where the overlap plot is empty.",
    "perplexity": "Add rows the model finds harder: text that it predicts this easily teaches it little but form.",
    "weights": "Weights are worth what the checker is: give it more real rows or a better model, and cap the weights "
    "where few rows carry them.",
    "difficulty": "Do not use these levels yet: a model that has learnt too little, or all by heart, grades nothing.",
    "harder": "Read the rows listed as hardest to predict: garbled text, another language, or a subject of their own.",
}


_OF_TOOLS = {
    "weights": (
        "Train with the weights and without, beside the real rows, and compare the classifiers on other real rows.",
        "unflaw train minilm {weighed} --arms {arms} --real REAL.jsonl --validation VALIDATION.jsonl --run {run}",
    ),
    "difficulty": (
        "Ask a classifier that never saw these rows about the hard ones alone; --parts writes them to a file.",
        "unflaw evaluate CLASSIFIER --labels hard.jsonl",
    ),
}
"""First part of a check's id → what to try next, of findings about a checker or a grading, and not about the rows."""
_ABOUT = {"weights.checker": "real", "difficulty": "graded", "subjectivity.accuracy": "test"}
"""Check, or first part of its id → the rows it is about, where they are not the synthetic ones."""


def verdict(
    found: Sequence[Finding], compared: Mapping[str, Any] | None, unasked: Sequence[str] = ()
) -> dict[str, Any]:
    """One sentence, its level, what could not be asked, and, where a model was repaired, what came back."""
    repair = compared["repair"]["words"] if compared and compared["repair"] else ""
    tools = [f for f in found if is_of_tools(f) and f.verdict == "fail"]
    found = [f for f in found if not is_of_tools(f)]
    fails = [f for f in found if f.verdict == "fail"]
    warns = [f for f in found if f.verdict == "warn"]
    judged = [f for f in found if f.judges]
    total = f"{len(judged)} check{'' if len(judged) == 1 else 's'}"
    if fails:
        level, sentence = "fail", f"The synthetic rows are flawed: {len(fails)} of {total} {_s(fails, 'fail')}"
        sentence += f", {len(warns)} {_s(warns, 'warn')}." if warns else "."
    elif warns:
        level, sentence = "warn", f"Look before you train: {len(warns)} of {total} {_s(warns, 'warn')}, none fails."
    elif judged:
        level, sentence = "ok", f"No flaw found: all {total} passed." if len(judged) > 1 else "No flaw found."
    else:
        none = "nothing was judged" if found else "no audit in this run"
        sentence = repair or (f"Models measured; {none}." if compared else f"{none.capitalize()}.")
        repair = ""
        level = compared["repair"]["level"] if compared and compared["repair"] else "none"
    basis = "; ".join(clip(f.title, 160) for f in [f for f in by_harm(found) if f.verdict != "ok"][:3])
    more = len(fails) + len(warns) - 3
    if basis:
        basis = f"To mend first: {basis}" + (f"; and {more} more." if more > 0 else ".")
    if without := range(len(found) - len(judged)):
        which = f"{len(without)} more" if judged else f"{len(without)} check{'' if len(without) == 1 else 's'}"
        told = f"{which} {_s(without, 'describe')} the rows and {_s(without, 'judge')} nothing."
        basis = f"{basis} {told}".strip()
    if tools:
        basis = f"{basis} Not to be relied on: {', '.join(clip(f.title, 160) for f in tools)} (fails).".strip()
    if unasked:
        basis = f"{basis} No answer, for want of input or of rows: {', '.join(unasked)}.".strip()
    badge = {"ok": "ok", "warn": "warn", "fail": "fail", "none": "no verdict"}[level]
    return {"level": level, "badge": badge, "sentence": sentence, "repair": repair, "basis": basis}


def _s(things: Sequence[object], verb: str) -> str:
    return f"{verb}s" if len(things) == 1 else verb


def about(f: Finding) -> str:
    """Name the rows that a finding is about."""
    return _ABOUT.get(f.check, _ABOUT.get(_kind(f), "synthetic"))


def is_of_tools(f: Finding) -> bool:
    """Whether a finding is about a checker or a grading: no flaw of the rows, and nothing to mend in them."""
    return _kind(f) in _OF_TOOLS


def control_words(f: Finding) -> str:
    """Say what the control is, and how far the value lies from it; nothing where no real rows could be one."""
    if f.control is None:
        return "" if is_of_tools(f) or about(f) != "synthetic" else "This check has no real-vs-real control."
    words = f"On real rows alone the same statistic is {number(f.control)}"
    if f.control_low is None or f.control_high is None:
        return f"{words}; the synthetic rows give {number(f.value)}."
    inside = f.control_low <= f.value <= f.control_high
    return f"{words}; the synthetic value lies {'inside' if inside else 'outside'} its interval."


def next_steps(
    found: Sequence[Finding], compared: Mapping[str, Any] | None, known: Mapping[str, str]
) -> list[dict[str, str]]:
    """At most four things to do, those with a command first, then in the order of the harm to expect.

    Findings with a place of their own in "What to mend first" come before those beside them, where their harm is known.
    `known` fills the commands in: "run", and where they are known "rows", "weighed", "damaged" and "repaired".
    What is not known stands in capitals.
    """
    quoted = {name: shlex.quote(value) for name, value in known.items()}
    capitals = {
        "rows": "SYNTHETIC.jsonl", "weighed": "WEIGHED.jsonl", "damaged": "DAMAGED", "repaired": "REPAIRED",
    }  # fmt: skip
    known = {**capitals, **quoted}
    repair_again = (
        "unflaw repair {damaged} --forget {rows} --replay GOOD.jsonl --guard HELD_OUT.jsonl --run {run}"
    ).format_map(known)
    groups = mend_first(found)
    harms = [harm for group in groups for harm in group]
    heads = [group[0] for group in groups if group[0].kind not in ("unmeasured", "none")]
    flawed = [harm.finding for harm in (*heads, *harms)]
    harmless = {_kind(harm.finding): harm.kind == "none" for harm in reversed(harms)}  # by its most harmful finding
    steps = [
        {"words": _mildly(_ADVICE[kind]) if harmless[kind] else _ADVICE[kind], "command": ""}
        for kind in dict.fromkeys(map(_kind, flawed))
        if kind in _ADVICE
    ]
    repair = compared["repair"] if compared else None
    if repair and repair["level"] == "ok":
        words = "Use the repaired model, and look again with prompts it was not chosen by."
        command = "unflaw evaluate {damaged} {repaired} --n 200 --seed 1".format_map(known)
        steps.insert(0, {"words": words, "command": command})
    elif repair:
        words = "Repair without forgetting (the template stays barred), and compare again."
        steps.insert(0, {"words": words, "command": f"{repair_again} --name barred --w-forget 0"})
    elif compared and compared.get("tells_labels"):
        best = compared["classifiers"]
        steps = [*([{"words": best["words"], "command": ""}] if best else []), *steps][:4]
    elif compared and found:
        words = "See whether repair helps: unlearn the template from the trained model, then compare the two."
        steps.append({"words": words, "command": repair_again})
    elif found and all(map(is_of_tools, found)):
        shaky = {_kind(f) for f in found if f.verdict == "fail" or (f.check, f.verdict) == ("difficulty.told", "warn")}
        tried = [_OF_TOOLS[kind] for kind in dict.fromkeys(map(_kind, found)) if kind not in shaky]
        known["arms"] = "all" if any(f.check == "weights.spread" for f in found) else "plain,quality,dimp,filter,real"
        steps += [{"words": words, "command": command.format_map(known)} for words, command in tried]
    elif flawed:
        words = "If a model was trained on these rows already, measure it against the model it came from."
        steps.append({"words": words, "command": f"unflaw evaluate BEFORE AFTER --run {known['run']}"})
    if not steps:
        words = "Train, then compare the model before and after on held-out text: an audit cannot see everything."
        steps.append({"words": words, "command": f"unflaw evaluate BEFORE AFTER --run {known['run']}"})
    return sorted(steps, key=lambda step: not step["command"])[:4]


def _kind(f: Finding) -> str:
    """Return what a finding's advice is filed under."""
    if f.check == "perplexity.shift" and f.value > 0:
        return "harder"
    if f.check.startswith("copies.inside"):
        return "copies.inside"
    if f.check in _ADVICE:
        return f.check
    first = f.check.split(".")[0]
    return "diversity" if first == "paraphrases" else first


def _mildly(words: str) -> str:
    return f"No harm was seen from this; if it is unwelcome all the same: {words[0].lower()}{words[1:]}"


def recovered(lost: float, back: float, noise: bool) -> tuple[str, str]:
    """Put the repair into one sentence with its level; both in shares of constraints."""
    if lost <= 0 or noise:
        return "ok" if back >= 0 else "warn", (
            "Training cost no instruction following beyond noise, so there was nothing to recover."
        )
    if back <= 0:
        return "fail", (
            f"Repair recovered none of the {percent_points(lost)} lost points of instruction following"
            f" and cost {percent_points(-back)} more."
        )
    points = f"{percent_points(back)} of {percent_points(lost)}"
    return "ok", f"Repair recovered {points} lost points of instruction following."
