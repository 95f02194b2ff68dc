from importlib import import_module

import pytest

from unflaw._errors import DataError, SettingsError
from unflaw.generate import TextTask, read_task


def test_a_task_is_read_and_its_examples_are_found_beside_it(tmp_path):
    (tmp_path / "real.jsonl").write_text("")
    (tmp_path / "task.yaml").write_text(
        "task: one sentence of a review\nlabels:\n  good: it is praised\n  bad:\nwords: 5 to 20\n"
        "context: You write reviews.\nexamples: real.jsonl\n"
    )
    task = read_task(tmp_path / "task.yaml")
    assert task == TextTask(
        "one sentence of a review", {"good": "it is praised", "bad": ""}, (5, 20), "You write reviews.",
        str(tmp_path / "real.jsonl"),
    )  # fmt: skip


def test_labels_may_be_a_list_of_anything(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text("task: a question\nlabels: [yes, no, 3, true, 010, 1.0]\n")
    assert list(read_task(path).labels) == ["yes", "no", "3", "true", "010", "1.0"]  # as they are written


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("task: a\nlabels: [x, y]\nlabls: 1", "`labls` is unknown"),
        ("labels: [x, y]", "`task` is missing"),
        ("task: a\nlabels: [x]", "two labels at least"),
        ("task: a\nlabels: [x, y]\nwords: many", "the fewest and the most words"),
        ("task: a\nlabels: [x, y]\nwords: 9-3", "got 9-3"),
        ("task: [a]\nlabels: [x, y]", "`task` of .* must be text, got list"),
        ("task: a\nlabels:\n  x: [1]\n  y: b", "must map each label"),
        ("- a", "got list"),
        ("task: a\nlabels: [x, y, x]", "got 'x' twice"),
    ],
)
def test_a_broken_task_is_told(tmp_path, text, told):
    (tmp_path / "task.yaml").write_text(text)
    with pytest.raises(SettingsError, match=told):
        read_task(tmp_path / "task.yaml")


def test_no_file_and_no_yaml_are_told(tmp_path):
    with pytest.raises(DataError, match="must be a task file"):
        read_task(tmp_path / "gone.yaml")
    (tmp_path / "task.yaml").write_text("a: [")
    with pytest.raises(DataError, match="is not YAML"):
        read_task(tmp_path / "task.yaml")


def test_a_label_that_comes_twice_is_told(tmp_path):
    (tmp_path / "task.yaml").write_text("task: a\nlabels:\n  x: a\n  y: b\n  x: c\n")
    with pytest.raises(DataError, match=r"'x' comes twice\n.*line 5"):
        read_task(tmp_path / "task.yaml")


def test_all_mistakes_of_a_task_are_told_at_once(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text("labls: 1\nlabels: [x]\nwords: 9-3\n")
    with pytest.raises(SettingsError) as refused:
        read_task(path)
    told = "\n".join(refused.value.problems)
    for part in ("`labls` is unknown", "`task` is missing", "two labels at least", "got 9-3"):
        assert part in told


def test_the_task_that_the_module_shows_can_be_read(tmp_path):
    shown = [line[4:] for line in import_module("unflaw.generate._task").__doc__.splitlines() if line[:4] == "    "]
    (tmp_path / "task.yaml").write_text("\n".join(shown))
    task = read_task(tmp_path / "task.yaml")
    assert list(task.labels) == ["positive", "negative"] and task.words == (10, 30) and task.examples == "real.jsonl"


def test_labels_with_white_space_around_them_are_told():
    with pytest.raises(SettingsError, match="no white space around them, got 'a '"):
        TextTask("a text", {"a": "", "a ": ""})
