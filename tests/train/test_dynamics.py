import json

import numpy as np
import pytest

from unflaw._errors import DataError
from unflaw.train import read_dynamics, record_epoch

IDS, Y = ["a", "b", "c"], np.array([0, 1, 0])


def write(folder, epochs=3):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(epochs, 3, 2)).round(4)
    for epoch in range(epochs):
        record_epoch(folder, epoch + 1, IDS, z[epoch], Y)
    return z


def test_what_was_written_is_read_back(tmp_path):
    z = write(tmp_path / "training_dynamics")
    for folder in (tmp_path, tmp_path / "training_dynamics"):
        found = read_dynamics(folder)
        assert found.ids == IDS and found.y.tolist() == [0, 1, 0]
        assert found.logits == pytest.approx(z)


def test_epochs_of_others_may_be_in_another_order_and_their_ids_numbers(tmp_path):
    for epoch in range(2):
        lines = [{"guid": g, f"logits_epoch_{epoch}": [g, epoch], "gold": g % 2} for g in range(4)]
        text = "\n".join(json.dumps(line) for line in (lines if epoch else lines[::-1]))
        (tmp_path / f"dynamics_epoch_{epoch}.jsonl").write_text(text)
    found = read_dynamics(tmp_path)
    assert found.ids == ["3", "2", "1", "0"]
    assert found.logits[1].tolist() == [[3, 1], [2, 1], [1, 1], [0, 1]]


def edit(path, change):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(line) if isinstance(line, dict) else line for line in change(lines)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: lines[:2], "epoch 1 holds other rows than epoch 0: 1 are missing and 0 are new, e.g. 'c'"),
        (lambda lines: [{**lines[0], "gold": 1}, *lines[1:]], "gives 'a' another `gold`"),
        (lambda lines: [*lines, lines[0]], "line 4: 'a' comes twice"),
        (lambda lines: ["{", *lines[1:]], "line 1: JSONDecodeError"),
        (lambda lines: [{"guid": "a", "gold": 0}, *lines[1:]], "line 1: KeyError: 'logits_epoch_1'"),
        (lambda lines: [{**lines[0], "logits_epoch_1": [1, 2, 3]}, *lines[1:]], r"as many classes, got \[2, 3\]"),
        (lambda lines: [{**lines[0], "logits_epoch_1": [1, float("nan")]}, *lines[1:]], "must be finite"),
        (lambda lines: [{**lines[0], "gold": 2}, *lines[1:]], "line 1: `gold` must be the place of a class, got 2"),
        (lambda lines: [{**line, "logits_epoch_1": [1, 2, 3]} for line in lines], r"as many classes, got \[2, 3\]"),
    ],
)
def test_a_broken_epoch_is_named(tmp_path, change, told):
    write(tmp_path)
    edit(tmp_path / "dynamics_epoch_1.jsonl", change)
    with pytest.raises(DataError, match=told):
        read_dynamics(tmp_path)


def test_what_is_wrong_with_each_epoch_is_told_at_once(tmp_path):
    write(tmp_path)
    edit(tmp_path / "dynamics_epoch_1.jsonl", lambda lines: lines[1:])
    edit(tmp_path / "dynamics_epoch_2.jsonl", lambda lines: [{**lines[0], "gold": 1}, *lines[1:]])
    with pytest.raises(DataError, match="epoch 1 holds other rows.*epoch 2 gives 'a' another `gold`"):
        read_dynamics(tmp_path)
    for epoch in range(3):
        (tmp_path / f"dynamics_epoch_{epoch}.jsonl").write_text("\n")
    with pytest.raises(DataError, match="dynamics_epoch_0.jsonl holds no row"):
        read_dynamics(tmp_path)


def test_a_missing_epoch_is_named_and_an_empty_folder_is_none(tmp_path):
    with pytest.raises(DataError, match="got none"):
        read_dynamics(tmp_path)
    write(tmp_path)
    (tmp_path / "dynamics_epoch_1.jsonl").unlink()
    with pytest.raises(DataError, match=r"lacks the epochs \[1\] of 0 to 2"):
        read_dynamics(tmp_path)


def test_ids_may_hold_what_ends_lines_elsewhere(tmp_path):
    ids = ["a\u2028b", "c\x85d", "e"]
    for epoch in (1, 2):
        record_epoch(tmp_path, epoch, ids, np.zeros((3, 2)), np.array([0, 1, 0]))
    assert read_dynamics(tmp_path).ids == ids


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"guid": "\xff\xfe"}', "UnicodeDecodeError"),
        (b'{"guid": "a", "logits_epoch_1": [1, 2], "gold": Infinity}', "OverflowError"),
        (b'{"guid": "a", "logits_epoch_1": [1' + b"0" * 400 + b', 2], "gold": 0}', "OverflowError"),
    ],
)
def test_what_is_no_number_is_named_by_its_line(tmp_path, line, told):
    for epoch in (1, 2):
        record_epoch(tmp_path, epoch, ["a"], np.zeros((1, 2)), np.array([0]))
    (tmp_path / "dynamics_epoch_1.jsonl").write_bytes(line + b"\n")
    with pytest.raises(DataError, match=f"dynamics_epoch_1.jsonl line 1: {told}"):
        read_dynamics(tmp_path)
