"""Write README.md's tables from results/: `python studies/subjectivity/page.py`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unflaw.data import atomic_write

__all__ = ["page"]

HERE = Path(__file__).parent
README = HERE / "README.md"


def page() -> str:
    """Return README.md with its tables."""
    learnt, judged = (json.loads((HERE / "results" / f"{name}.json").read_text()) for name in ("heldout", "judged"))
    head = README.read_text(encoding="utf-8").split("<!-- tables -->")[0]
    return head + "<!-- tables -->\n\n" + "\n".join([held_out(learnt), *tables(judged)])


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table."""
    names = list(columns)
    lines = [f"## {title}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def held_out(learnt: Mapping[str, Any]) -> str:
    """Write the areas on what was left out."""
    ways = ("trained", "words", "words and I, we", "VADER's words", "length, unmatched")
    rows = [
        [f"**{name}**" if part == "subjects left out" else name.replace("|", "against")]
        + [str(result["n"][0])]
        + [f"{v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}]" for v in (result[way] for way in ways)]
        for part, of in learnt.items()
        for name, result in of.items()
    ]
    title = "AUC on what was not learnt from, lengths matched (bold: one subject left out, both sides of it)"
    return table(title, ("texts", "a side", *ways), rows)


def tables(judged: Mapping[str, Any]) -> Iterable[str]:
    """Write what the check says of real sets, of clean halves, and of what was planted."""
    yield table(
        "Real sets",
        ("rows", "n", "words that judge", "score", "score, subject unseen"),
        (
            [name, str(r["n"]), f"{r['words']:.1%}", f"{r['score']:.2f}", f"{r['unseen']:.2f}" if "unseen" in r else ""]
            for name, r in judged["tasks"].items()
        ),
    )
    yield table(
        "Clean halves: how many of the splits warn, and the largest shift",
        ("rows", "splits", "score", "lexicon", "task", "shift", "largest shift"),
        (
            [name, str(r["splits"]), *(str(r["accused"][c]) for c in ("score", "lexicon", "task", "shift"))]
            + [f"{r['shifts'][-1]:.2f}"]
            for name, r in judged["clean"].items()
        ),
    )
    yield table(
        "Rows made neutral: splits that warn of a shift, and its mean",
        ("rows", "share made neutral", "warn", "mean shift, sd"),
        (
            [name, f"{float(dose):.0%}", f"{sum(v != 'ok' for v, _ in told)} of {len(told)}"]
            + [f"{sum(s for _, s in told) / len(told):+.2f}"]
            for name, doses in judged["doses"].items()
            for dose, told in doses.items()
        ),
    )
    yield table(
        "VADER's raters: negative, neutral or positive?",
        ("rows", "raters", "share of the commonest label", "above chance", "Krippendorff's alpha"),
        (
            [name, str(r["raters"]), f"{r['commonest']:.2f}", f"{r['above chance']:.2f}"]
            + ["{:.2f} [{:.2f}, {:.2f}]".format(*r["alpha"])]
            for name, r in judged["agreement"].items()
        ),
    )


if __name__ == "__main__":
    text = page()
    with atomic_write(README) as file:
        file.write(text)
