"""A run folder never mixes two settings, never holds half a file, and lets one process in at a time."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from unflaw._errors import DataError, RunFolderError, WriteError
from unflaw.data import Finding, Rejection, Rows, RunFolder, Score, open_run


def finding(check, value=0.5):
    return Finding(check, "title", value, None, None, "lower", "ok", "none", "means little", row_scores={"a": value})


def score(model, value=0.5):
    return Score("qa.f1", model, value, 0.0, 1.0, 2, items={"i": value, "j": value})


def begin(folder, command="audit", **how):
    return open_run(
        folder, settings={"seed": 3, "encoder": "potion", **how.pop("settings", {})}, command=command, **how
    )


def test_what_is_added_comes_back(tmp_path):
    with begin(tmp_path / "run") as run:
        run.add_findings([finding("gap"), finding("copies")])
        run.add_scores([score("base")])
        run.add_comparisons([{"benchmark": "qa.f1", "model_a": "base", "model_b": "other", "difference": 0.1}])
        run.add_curve("repair", [{"step": 1, "loss": 2.0}], notes=["stopped by the guard"])
        run.add_rejected([Rejection(3, "not valid JSON: x", "\udcffoops")], "a.jsonl")
    run = RunFolder(tmp_path / "run")
    assert run.findings() == [finding("gap"), finding("copies")]
    assert run.scores() == [score("base")]
    assert run.comparisons()[0]["difference"] == 0.1
    assert run.curves() == {"repair": {"curve": [{"step": 1, "loss": 2.0}], "notes": ["stopped by the guard"]}}
    assert json.loads((run.path / "rejected.jsonl").read_text()) == {
        "source": "a.jsonl", "line": 3, "reason": "not valid JSON: x", "text": "\udcffoops",
    }  # fmt: skip


def test_the_same_thing_added_again_takes_the_old_ones_place(tmp_path):
    with begin(tmp_path) as run:
        for value in (0.1, 0.2):
            run.add_findings([finding("gap", value)])
            run.add_scores([score("base", value), score("tuned")])
            run.add_rejected([Rejection(1, str(value), "")], "a.jsonl")
            run.add_rejected([Rejection(1, "other", "")], "b.jsonl")
        assert [f.value for f in run.findings()] == [0.2]
        assert {s.model: s.value for s in run.scores()} == {"base": 0.2, "tuned": 0.5}
        assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == 2


def test_columns_that_two_steps_wrote_are_taken_back_once(tmp_path):
    for how in ({}, {}, {"overwrite": True}, {}):
        with begin(tmp_path / "run", **how) as run:
            run.add_row_columns({"a": {"unflaw.score": 0.5}})
    assert RunFolder(tmp_path / "run").row_columns().to_pylist() == [{"unflaw.id": "a", "unflaw.score": 0.5}]


def test_row_columns_are_joined_by_id_and_a_null_takes_nothing_away(tmp_path):
    with begin(tmp_path) as run:
        assert run.row_columns() is None
        run.add_rows(Rows.from_records([{"unflaw.id": "a", "text": "A"}, {"unflaw.id": "b", "text": "B"}], {}))
        run.add_row_columns({"b": {"score": 1}, "c": {"score": 2}})
        run.add_row_columns({"a": {"why": "x"}, "c": {"score": 2.5}})
        assert run.row_columns().to_pylist() == [
            {"unflaw.id": "a", "text": "A", "score": None, "why": "x"},
            {"unflaw.id": "b", "text": "B", "score": 1.0, "why": None},
            {"unflaw.id": "c", "text": None, "score": 2.5, "why": None},
        ]


def test_the_manifest_says_what_the_results_were_made_with(tmp_path):
    data = tmp_path / "a.jsonl"
    data.write_text("{}")
    with begin(tmp_path / "run", inputs=[data]):
        pass
    (step,) = RunFolder(tmp_path / "run").manifest["steps"]
    assert (step["name"], step["status"], step["seeds"]) == ("audit", "finished", {"seed": 3})
    assert step["settings"] == {"seed": 3, "encoder": "potion"}
    # sha256sum of the two characters {}
    assert step["inputs"] == {str(data): "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
    assert {"python", "pyarrow", "unflaw"} <= set(step["versions"])
    assert step["seconds"] >= 0 and step["peak_memory_mib"] > 1


def test_other_commands_append_and_the_same_one_goes_on(tmp_path):
    for command in ("audit", "repair", "audit"):
        with begin(tmp_path, command) as run:
            run.add_findings([finding(command)])
    assert [s["name"] for s in run.manifest["steps"]] == ["audit", "repair", "audit"]
    assert [f.check for f in run.findings()] == ["repair", "audit"]


def test_other_settings_are_refused_by_name_with_the_ways_out(tmp_path):
    data = tmp_path / "a.jsonl"
    data.write_text("one")
    with begin(tmp_path / "run", inputs=[data]):
        pass
    data.write_text("two")
    with pytest.raises(RunFolderError) as caught:
        begin(tmp_path / "run", settings={"encoder": "minilm", "k": 5}, inputs=[data])
    message = str(caught.value)
    assert 'encoder: "potion" then, "minilm" now' in message
    assert "k: not given then, 5 now" in message
    assert f"{data}: content 7692c3ad3540 then, content 3fc4ccfe7458 now" in message
    assert "--overwrite" in message and "--resume" in message
    assert "seed" not in message


def test_resume_keeps_and_overwrite_takes_back_what_the_command_wrote(tmp_path):
    with begin(tmp_path, "evaluate") as run:
        run.add_findings([finding("kept")])
    with begin(tmp_path) as run:
        run.add_findings([finding("gap"), finding("kept", 0.9)])
        run.add_scores([score("base")])
        run.add_curve("fit", [])
        run.add_row_columns({"a": {"bad": 1}})
        run.path_for_model("tuned").mkdir(parents=True)
    with begin(tmp_path, settings={"encoder": "minilm"}, resume=True) as run:
        assert len(run.findings()) == 2
    with begin(tmp_path, settings={"encoder": "other"}, overwrite=True) as run:
        assert len(run.findings()) == 2, "nothing goes before something new is there"
        assert not run.path_for_model("tuned").exists()
    assert (run.findings(), run.scores(), run.curves()) == ([], [], {})
    assert run.row_columns().column_names == ["unflaw.id"]
    assert list((tmp_path / "models").iterdir()) == []


@pytest.fixture
def old(tmp_path):
    """A run folder in which "audit" wrote one of everything, and "other" a finding."""
    with begin(tmp_path, "other") as run:
        run.add_findings([finding("theirs")])
    with begin(tmp_path) as run:
        run.add_findings([finding("gap"), finding("copies")])
        run.add_scores([score("base")])
        run.add_comparisons([{"benchmark": "qa.f1", "model_a": "base", "model_b": "b"}])
        run.add_curve("fit", [{"step": 1}])
        run.add_row_columns({"a": {"bad": 1, "worse": 2}, "b": {"bad": 3}})
        run.add_changes({"rows": {"added": 1}, "changes": []})
        run.add_rejected([Rejection(1, "old", "")], "a.jsonl")
        write_model(run, "tuned", "old")
    return tmp_path


def write_model(run, name, words):
    folder = run.path_for_model(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").write_text(words)


def held(folder):
    """All that a run folder holds, but for its manifest and its lock."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ("manifest.json", ".lock"))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_step_that_fails_before_it_writes_overwrites_nothing(old, error):
    before = held(old)
    with pytest.raises(error), begin(old, settings={"k": 1}, overwrite=True) as run:
        run.path_for_model("tuned").mkdir()
        raise error
    assert held(old) == before


def test_the_first_result_takes_back_all_the_others(old):
    with pytest.raises(ValueError), begin(old, settings={"k": 1}, overwrite=True) as run:
        run.add_findings([finding("new")])
        assert [f.check for f in run.findings()] == ["theirs", "new"]
        assert (run.scores(), run.comparisons(), run.curves(), run.changes()) == ([], [], {}, None)
        assert run.row_columns().column_names == ["unflaw.id"]
        assert not (old / "rejected.jsonl").exists()
        run.add_row_columns({"a": {"bad": 9}})
        run.add_row_columns({"c": {"bad": 8}})
        assert run.row_columns().to_pylist() == [
            {"unflaw.id": "a", "bad": 9}, {"unflaw.id": "b", "bad": None}, {"unflaw.id": "c", "bad": 8},
        ]  # fmt: skip
        raise ValueError
    assert (old / "models" / "tuned" / "weights").read_text() == "old", "models stay until the step has finished"


def test_a_value_that_is_written_again_keeps_nothing_of_the_old_one(old):
    with begin(old, settings={"k": 1}, overwrite=True) as run:
        run.add_row_columns({"a": {"bad": 9}})
    assert run.row_columns().to_pylist() == [{"unflaw.id": "a", "bad": 9}, {"unflaw.id": "b", "bad": None}]


def test_a_disk_that_is_full_at_the_first_result_costs_no_old_one(old, monkeypatch):
    before = held(old)

    def full(self, name, content):
        if name == "findings.json":
            raise WriteError("no space left")
        return save(self, name, content)

    save = RunFolder._save
    monkeypatch.setattr(RunFolder, "_save", full)
    with pytest.raises(WriteError), begin(old, settings={"k": 1}, overwrite=True) as run:
        run.add_findings([finding("new")])
    assert held(old) == before


def test_what_is_overwritten_by_nothing_is_gone_at_the_end(old):
    with begin(old, settings={"k": 1}, overwrite=True):
        pass
    run = RunFolder(old)
    assert [f.check for f in run.findings()] == ["theirs"]
    assert sorted(held(old)) == [
        "comparisons.json", "curves.json", "findings.json", "rows.parquet", "scores.json",
    ]  # fmt: skip


@pytest.mark.parametrize("resume", [True, False])
def test_whoever_goes_on_after_a_failed_overwriting_still_overwrites(old, resume):
    with pytest.raises(ValueError), begin(old, settings={"k": 1}, overwrite=True) as run:
        run.path_for_model("tuned")
        raise ValueError
    with pytest.raises(ValueError), begin(old, settings={"k": 1}, resume=resume) as run:
        write_model(run, "tuned", "half")
        run.add_findings([finding("new")])
        raise ValueError
    with begin(old, settings={"k": 1}, resume=resume) as run:
        assert (run.path_for_model("tuned") / "weights").read_text() == "half"
        run.add_scores([score("tuned")])
    assert [f.check for f in run.findings()] == ["theirs", "new"]
    assert [s.model for s in run.scores()] == ["tuned"]
    assert [p.name for p in (old / "models").iterdir()] == ["tuned"]


def test_an_old_model_lies_aside_until_the_new_one_is_whole(old):
    with begin(old, settings={"k": 1}, overwrite=True) as run:
        assert not run.path_for_model("tuned").exists()
        write_model(run, "tuned", "new")
        run.add_curve("fit", [])
        assert sorted(p.read_text() for p in (old / "models").rglob("weights")) == ["new", "old"]
    assert [p.read_text() for p in (old / "models").rglob("weights")] == ["new"]


def test_half_a_new_model_stays_and_the_old_one_beside_it(old):
    with pytest.raises(ValueError), begin(old, settings={"k": 1}, overwrite=True) as run:
        write_model(run, "tuned", "half")
        raise ValueError
    assert (old / "models" / "tuned" / "weights").read_text() == "half"
    assert sorted(p.read_text() for p in (old / "models").rglob("weights")) == ["half", "old"]
    with begin(old, settings={"k": 1}, overwrite=True) as run:
        write_model(run, "tuned", "new")
    assert [p.read_text() for p in (old / "models").rglob("weights")] == ["new"]


OVERWRITER = """
import os, sys
from unflaw.data import open_run

run = open_run(sys.argv[1], settings={"seed": 3, "encoder": "potion", "k": 1}, command="audit", overwrite=True)
run.path_for_model("tuned")
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_an_overwriting_that_is_killed_loses_nothing(old):
    before = held(old)
    done = subprocess.run([sys.executable, "-c", OVERWRITER, str(old)])
    assert done.returncode == -signal.SIGKILL and held(old) != before
    begin(old, "other").finish()
    assert held(old) == before


def test_lines_that_are_rows_by_now_are_no_longer_rejected(tmp_path):
    with begin(tmp_path) as run:
        run.add_rejected([], "a.jsonl")
        assert not (tmp_path / "rejected.jsonl").exists()
        for source in ("a.jsonl", "b.jsonl"):
            run.add_rejected([Rejection(1, "x", "")], source)
        run.add_rejected([], "a.jsonl")
        assert json.loads((tmp_path / "rejected.jsonl").read_text())["source"] == "b.jsonl"
    with begin(tmp_path, settings={"k": 1}, overwrite=True) as run:
        run.add_rejected([Rejection(2, "y", "")], "c.jsonl")
    assert json.loads((tmp_path / "rejected.jsonl").read_text())["source"] == "c.jsonl"
    assert run.manifest["steps"][-1]["wrote"] == {"rejected": ["c.jsonl"]}


def test_a_disk_that_is_full_at_the_end_keeps_nobody_out(tmp_path, monkeypatch):
    def full(self, name, content):
        raise WriteError("no space left")

    run = begin(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "_save", full)
        with pytest.raises(WriteError):
            run.finish()
    with begin(tmp_path, "repair") as run:
        assert [s["status"] for s in run.manifest["steps"]] == ["killed", "running"]


@pytest.mark.parametrize(
    "names", [[".lock"], [".manifest.json.0a1b2c3d.tmp"], [".lock", ".manifest.json.0a1b2c3d.tmp"]]
)
def test_a_folder_whose_first_step_was_killed_at_once_is_usable(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("")
    begin(tmp_path).finish()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "manifest.json"]


def test_one_process_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    with begin(tmp_path), pytest.raises(RunFolderError, match=f"in use by process {os.getpid()}"):
        begin(tmp_path, "repair")
    begin(tmp_path, "repair").finish()


@pytest.mark.parametrize(("error", "status"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_a_step_that_ends_badly_says_so_and_lets_go(tmp_path, error, status):
    with pytest.raises(error), begin(tmp_path):
        raise error
    assert RunFolder(tmp_path).manifest["steps"][0]["status"] == status
    begin(tmp_path).finish()


def test_folders_that_are_no_run_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunFolderError, match="holds other things and no run"):
        begin(tmp_path)
    with pytest.raises(RunFolderError, match="is no run folder"):
        RunFolder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_made_for_reading_refuses_to_write(tmp_path):
    begin(tmp_path).finish()
    run = RunFolder(tmp_path)
    for write in (lambda: run.add_findings([]), lambda: run.add_rejected([], "a"), lambda: run.add_curve("c", [])):
        with pytest.raises(RunFolderError, match="reading only"):
            write()


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc"])
def test_a_model_stays_inside_the_folder(tmp_path, name):
    with begin(tmp_path) as run, pytest.raises(RunFolderError, match="plain folder name"):
        run.path_for_model(name)


def test_a_broken_file_is_named(tmp_path):
    begin(tmp_path).finish()
    (tmp_path / "findings.json").write_text("[{")
    with pytest.raises(DataError, match=r"findings.json` is not readable JSON"):
        RunFolder(tmp_path).findings()


WRITER = """
import sys
from unflaw.data import Finding, open_run

run = open_run(sys.argv[1], settings={}, command="audit")
n = 0
while True:
    n += 1
    scores = {str(i): float(n) for i in range(3000)}
    run.add_findings([Finding("gap", "t", float(n), None, None, "lower", "ok", "", "", row_scores=scores)])
    run.add_row_columns({i: {"score": s} for i, s in scores.items()})
    print(n, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
@pytest.mark.parametrize("after", [0.005, 0.03])
def test_a_writer_that_is_killed_leaves_a_folder_that_reads_and_opens(tmp_path, after):
    folder = tmp_path / "run"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(3):
            said = int(writer.stdout.readline())
        with pytest.raises(RunFolderError, match=f"in use by process {writer.pid}"):
            open_run(folder, settings={}, command="repair")
        time.sleep(after)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    run = RunFolder(folder)
    (found,) = run.findings()
    assert found.value >= said and set(found.row_scores.values()) == {found.value}
    assert run.row_columns().num_rows == 3000
    with open_run(folder, settings={}, command="repair") as run:
        assert [s["status"] for s in run.manifest["steps"]] == ["killed", "running"]
        assert not list(folder.glob(".*.tmp"))
