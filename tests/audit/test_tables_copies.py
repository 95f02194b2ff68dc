"""Tables: rows that are real rows, of the reference or held out."""

import numpy as np
import pytest

from small_tables import people, rows, tables


def test_rows_that_are_real_ones_are_named_with_the_real_row():
    real = people(400, 2)
    told = [*real[:40], *people(360, 1)]
    found = tables(told, real)
    copies = found["copies"]
    assert copies.verdict == "fail" and copies.value == 0.1 and copies.evidence["n_exact"] == 40
    assert copies.row_reasons[rows(told).ids[0]] == f"equals real row {rows(real).ids[0]}"


def test_a_name_of_its_own_and_more_digits_do_not_make_another_row():
    real = people(400, 2)
    told = [record | {"name": f"new {i}", "tax": record["tax"] + 1e-5} for i, record in enumerate(real[:40])]
    copies = tables(told + people(360, 1), real)["copies"]
    assert copies.evidence["n_exact"] == 0 and copies.evidence["n_near"] == 40
    assert copies.row_reasons[rows(told).ids[0]].endswith("but for digits or names")


def test_rows_that_remember_held_out_ones_leak():
    held = people(300, 3)
    told = [*held[:30], *people(570, 1)]
    found = tables(told, holdout=held)
    assert found["holdout"].verdict == "fail" and set(found["holdout"].row_scores) == set(rows(told).ids[:30])
    assert found["copies"].value == 0


@pytest.mark.parametrize("n_values", [2, 8, 40])
def test_coarse_tables_repeat_themselves_by_nature(n_values):
    def coarse(n, seed):
        rng = np.random.default_rng(seed)
        return [{"a": int(rng.integers(n_values)), "b": str(rng.integers(n_values))} for _ in range(n)]

    found = tables(coarse(400, 1), coarse(500, 2), coarse(200, 3))
    assert found["copies"].value > 0.1 and found["holdout"].value > 0.05
    assert {f.verdict for f in found.values()} == {"ok"}


def test_held_out_rows_of_other_columns_hide_no_copies():
    real = people(300, 1)
    mine = [{**r, "name": f"x{i}"} for i, r in enumerate(real[:100] + people(200, 2))]
    other = [{"height": float(i), "width": float(i % 7)} for i in range(60)]
    alone, beside = tables(mine, real), tables(mine, real, other)
    assert alone["copies"].verdict == "fail"
    assert (beside["copies"].value, beside["copies"].verdict) == (alone["copies"].value, "fail")
    assert "holdout" not in beside and beside["closest"].evidence["held_out"] is False


def test_copies_are_counted_as_if_all_real_rows_were_looked_at():
    real = people(3000, 1)
    mine = [{**r, "name": f"x{i}"} for i, r in enumerate(real[:600])]
    found = tables(mine, real, max_rows=500)["copies"]
    assert found.verdict == "fail" and found.low < 1.0 <= found.high and found.value > 0.7
    assert "looked for among 500 of 3,000" in found.meaning
