"""What rows score: by an audit's run folder, or by a file that brings scores from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unflaw._errors import DataError, SettingsError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from unflaw.data import Finding, Rows, Selection

__all__ = ["REASON", "SCORE", "Audited", "harmless_in", "scores_of"]

SCORE, REASON = "unflaw.score", "unflaw.reason"


class Audited(NamedTuple):
    """What an audit wrote of the rows it scored."""

    table: pa.Table
    names: Sequence[str]
    """Columns of which the highest is a row's score: none where what is asked is ok and names no row."""
    harmful: Sequence[str]
    """Columns of the findings that count."""
    harmless: Sequence[str]
    """Of those that count, the columns of flaws that did no harm in our runs."""
    said: Mapping[str, Mapping[str, str]] | None
    """Column → row id → what its finding says of the worst rows; None where all were asked, and the table says it."""

    @classmethod
    def of(cls, run: Path | None, file: Path | None, checks: str | None) -> Audited | None:
        """Read what an audit wrote; None where a file brings the scores."""
        from unflaw.data import RunFolder
        from unflaw.report import harmless

        if run is None and file is None:
            raise SettingsError("`--run` or `--scores` must say where the scores are, got neither")
        if file is not None and checks is not None:
            raise SettingsError("`--checks` chooses among an audit's scores, and `--scores` brings others: give one")
        if file is not None:
            return None
        folder = RunFolder(run or ".")
        table, findings = folder.row_columns(), folder.findings()
        if table is None or SCORE not in table.column_names:
            raise DataError(
                f"`--run` must hold the scores of an audit, got none in {run}; audit with --run {run} first"
            )
        said = None
        if checks is None:
            names, counted = [SCORE], [_column(f.check) for f in findings if f.verdict != "ok"]
        else:
            names = counted = _columns_asked(checks, table, findings)
            said = {_column(f.check): f.row_reasons for f in findings if _column(f.check) in names}
        none = {_column(check) for check in harmless(findings)}
        there = [name for name in counted if name in table.column_names]
        harmful, rest = [n for n in there if n not in none], [n for n in there if n in none]
        return cls(table.filter(table[SCORE].is_valid()), names, harmful, rest, said)

    def scores(self) -> dict[str, float]:
        """Return row id → the highest of its scores."""
        columns = [self.table[name].fill_null(0).to_pylist() for name in self.names]
        values = [max(of) for of in zip(*columns, strict=True)] if columns else [0.0] * len(self.table)
        return dict(zip(self._ids(), values, strict=True))

    def reasons(self) -> dict[str, str]:
        """Return row id → what speaks against it: all of it or, where some checks were asked, what these say.

        A finding says why of its worst rows; of others only how high they score is known.
        """
        if self.said is None:
            told = self.table[REASON].to_pylist() if REASON in self.table.column_names else []
            return {i: reason for i, reason in zip(self._ids(), told, strict=False) if reason}
        ids, found = self._ids(), dict[str, list[str]]()
        for name in self.names:
            why = self.said.get(name, {})
            for row_id, score in zip(ids, self.table[name].to_pylist(), strict=True):
                if score:
                    found.setdefault(row_id, []).append(why.get(row_id) or f"{_check(name)} scores it {score:.2f}")
        return {row_id: "; ".join(parts) for row_id, parts in found.items()}

    def _ids(self) -> list[str]:
        from unflaw.data import ID

        ids: list[str] = self.table[ID].to_pylist()
        return ids


def _column(check: str) -> str:
    return f"{SCORE}.{check}"


def _check(column: str) -> str:
    return column.removeprefix(f"{SCORE}.")


def scores_of(audited: Audited | None, file: Path | None, rows: Rows) -> tuple[dict[str, float], dict[str, str]]:
    """Return score and reason by row id, from what an audit wrote or else from a file."""
    scores = _score_table(file or Path()) if audited is None else audited.scores()
    if strangers := len(set(rows.ids) - scores.keys()):
        raise DataError(
            f"`FILE` must hold the rows that were scored, got {strangers:,} of {len(rows):,} rows without a score; "
            "audit this file first, or name the one that was audited"
        )
    return scores, {} if audited is None else audited.reasons()


def _score_table(path: Path) -> dict[str, float]:
    from unflaw.data import ID, read

    rows = read(path, schema="table")
    if not {"score", "id"} <= {*rows.table.column_names}:
        got = [name for name in rows.table.column_names if name != ID]
        raise DataError(f"`--scores` must have columns id and score, got {got}")
    scores = [_number(score) for score in rows.column("score")]  # a CSV with one cell of words holds words only
    if bad := [(i, s) for i, s in zip(rows.ids, scores, strict=True) if not _is_score(s)]:
        told = "; ".join(f"{score!r} for row {row_id!r}" for row_id, score in bad[:3])
        raise DataError(
            f"`--scores` must hold a finite number in `score` of each row, got {told} ({len(bad):,} in all)"
        )
    return dict(zip(rows.ids, scores, strict=True))


def _number(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _is_score(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _columns_asked(checks: str, table: pa.Table, findings: Sequence[Finding]) -> list[str]:
    """Return the columns these names mean: none where what they mean is ok and scores no row."""
    scored = [_check(name) for name in table.column_names if name.startswith(f"{SCORE}.")]
    known = dict.fromkeys([*scored, *(f.check for f in findings if f.verdict == "ok")])
    wanted = [name.strip() for name in checks.split(",")]
    of = {w: [name for name in known if name == w or name.startswith(f"{w}.")] for w in wanted}
    parts = {*known, *(name.split(".")[0] for name in known)}
    if problems := [f"`--checks` has no scores of {w!r}. {did_you_mean(w, parts)}" for w in wanted if not of[w]]:
        raise SettingsError(problems)
    return [_column(name) for name in scored if any(name in of[w] for w in wanted)]


def harmless_in(audited: Audited, chosen: Selection) -> dict[str, Any]:
    """Name the findings that count although their flaw did no harm in our runs; count the rows that go for it alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from unflaw.data import ID

    gone = audited.table.filter(pc.is_in(audited.table[ID], pa.array(chosen.removed, pa.string())))
    alone = _any(gone, audited.harmless) & ~_any(gone, audited.harmful)
    return {
        "rows": int(alone.sum()),
        "findings": [_check(name) for name in audited.harmless],
        "others": [_check(name) for name in audited.harmful],
    }


def _any(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """Tell of each row whether one of these columns scores it above 0."""
    import numpy as np

    return np.any([table[name].fill_null(0).to_numpy() > 0 for name in names] or [np.zeros(len(table), bool)], axis=0)
