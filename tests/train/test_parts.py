"""However a step is cut, it says the same."""

import pytest
import torch
from transformers import AutoTokenizer

from unflaw.data import read
from unflaw.repair._plan import parts_of, plan_steps
from unflaw.train import Encoded, RowSet, encode_rows, together


def rows(*lengths, counted=None):
    n = counted or {}
    return [Encoded([7] * k, [0.0] * (k - n.get(i, k - 1)) + [1.0] * n.get(i, k - 1)) for i, k in enumerate(lengths)]


def padded_share(passes):
    """Share of padding, where the parts of a pass have one width."""
    masks = [[part.batch["attention_mask"] for part in joint] for joint in passes]
    size = sum(sum(map(len, joint)) * max(mask.shape[1] for mask in joint) for joint in masks)
    return 1 - sum(int(mask.sum()) for joint in masks for mask in joint) / size


def test_parts_hold_as_many_rows_as_fit_longest_first():
    of = RowSet("rows", rows(3, 10, 4, 9, 40), 0, most_tokens=20)
    parts = of.parts([0, 1, 2, 3, 4])
    assert [part.rows for part in parts] == [[4], [1, 3], [2, 0]]
    assert [tuple(part.batch["input_ids"].shape) for part in parts] == [(1, 40), (2, 10), (2, 4)]
    assert all(part.positions == 2 + 9 + 3 + 8 + 39 and part.groups == 5 for part in parts)


def test_processes_share_the_rows_and_divide_by_the_same():
    of = RowSet("rows", rows(3, 10, 4), 0, most_tokens=99)
    a, b = (of.parts([0, 1, 2], rank, 2) for rank in (0, 1))
    assert [part.rows for part in a] == [[1, 0]] and [part.rows for part in b] == [[2]]
    assert a[0].positions == b[0].positions == (2 + 9 + 3) / 2 and a[0].groups == 1.5


@pytest.mark.parametrize("shortest, n_parts", [(340, 1), (339, 2)])
def test_a_part_is_padding_for_a_twentieth_at_most(shortest, n_parts):
    parts = RowSet("rows", rows(400, 400, shortest), 0, most_tokens=2000).parts([0, 1, 2])  # 60 or 61 of 1,200
    assert len(parts) == n_parts


@pytest.mark.parametrize("shortest, n_parts", [(28, 1), (27, 2)])
def test_short_rows_are_padded_rather_than_pass_by_themselves(shortest, n_parts):
    parts = RowSet("rows", rows(60, 60, shortest), 0, most_tokens=2000).parts([0, 1, 2])  # 32 or 33 tokens of padding
    assert len(parts) == n_parts


def test_what_pads_a_pair_does_not_count():
    of = RowSet("pairs", rows(200, 2, 200, 2), 0, most_tokens=999, group=2)
    assert [part.rows for part in of.parts([0, 1])] == [[0, 1, 2, 3]]


@pytest.mark.parametrize("batch_size", [1, 6, 30])
def test_of_few_rows_of_80_tokens_and_more_less_than_a_twentieth_is_padding(batch_size):
    sets = [RowSet(name, rows(*range(80, 500, 16)), 0, 2048) for name in ("forget", "replay")]
    steps = plan_steps(*sets, batch_size, 20, seed=0)
    assert padded_share([joint for step in steps for joint in together(parts_of(step, sets), 2048)]) < 0.05


def test_a_process_without_a_row_takes_one_that_counts_nothing():
    of = RowSet("rows", rows(3, 5), 0, most_tokens=99)
    (idle,) = of.parts([1], 1, 2)
    assert not idle.batch["weight"].any() and idle.positions == 4 / 2
    assert of.parts([], 1, 2) == []


def test_where_they_must_processes_take_as_many_parts():
    of = RowSet("rows", rows(9, 3, 8, 3, 7, 3), 0, most_tokens=9, even=True)
    a, b = (of.parts(range(6), rank, 2) for rank in (0, 1))  # the longest first: 9, 7, 3 and 8, 3, 3
    assert [part.rows for part in a] == [[0], [4], [3]] and [part.rows for part in b[:2]] == [[2], [1, 5]]
    assert len(b) == 3 and not b[2].batch["weight"].any() and b[2].positions == a[0].positions


def test_partners_stay_together_and_a_plan_draws_pairs():
    of = RowSet("pairs", rows(3, 5, 8, 2), 0, most_tokens=1, group=2)
    assert of.lengths == [5, 8]
    assert [part.rows for part in of.parts([0, 1])] == [[2, 3], [0, 1]]
    assert of.parts([1])[0].positions == 7 + 1 and of.parts([1])[0].groups == 1


@pytest.mark.parametrize("batch_size", [1, 2, 4, 6, 16])
def test_of_real_rows_of_two_sets_less_than_a_twentieth_is_padding(tiny, batch_size):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    sets = [
        RowSet(name, encode_rows(read(f"examples/data/{name}.jsonl"), tokenizer), 0, 2048)
        for name in ("synthetic", "replay")
    ]
    passes = [
        joint for step in plan_steps(*sets, batch_size, 50, seed=0) for joint in together(parts_of(step, sets), 2048)
    ]
    assert padded_share(passes) < 0.05


def test_parts_move_to_a_device():
    (part,) = RowSet("rows", rows(3), 0, 9).parts([0])
    assert part.to("meta").batch["input_ids"].device == torch.device("meta")
    assert part.batch["input_ids"].device == torch.device("cpu")


def test_small_parts_go_together():
    a, b = (RowSet("rows", rows(*lengths), 0, 99).parts([0, 1]) for lengths in ((10, 10), (10, 9)))
    assert together([*a, *b], 80) == [[*a, *b]]  # four rows, ten wide
    assert together([*a, *b], 79) == [a, b]


@pytest.mark.parametrize("shorter, at_once", [(18, True), (17, False)])
def test_parts_of_unlike_width_go_apart(shorter, at_once):
    a, b = (RowSet("rows", rows(length), 0, 99).parts([0]) for length in (shorter, 20))
    assert together([*a, *b], 99) == ([[*a, *b]] if at_once else [a, b])  # 2 or 3 of 40 would be padding
