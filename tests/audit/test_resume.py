"""One audit, however it is computed and wherever it was cut off: the same answer."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from unflaw._errors import UsageError
from unflaw.audit import (
    CopiesCheck,
    LocalEngine,
    PerplexityCheck,
    RayEngine,
    TablesCheck,
    _audit,
    audit,
    default_checks,
)
from unflaw.audit._work import load
from unflaw.data import Finding, Rows, to_json
from unflaw.models import UnigramScorer

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker cannot import a test

STAGES = ("reading", "looking at rows", "concluding", "scoring rows")
ASKED = "copies gap residue relevance paraphrases".split()


@pytest.fixture
def files(tmp_path, records, monkeypatch):
    """Three files, cut into many small parts; every ninth row comes twice."""
    monkeypatch.setattr(_audit, "_PART_ROWS", 60)
    paths = {}
    for side, n, seed in (("rows", 200, 1), ("reference", 240, 2), ("holdout", 40, 3)):
        of = records(n, seed)
        of += of[::9]
        paths[side] = tmp_path / f"{side}.jsonl"
        paths[side].write_text("".join(json.dumps(record) + "\n" for record in of))
    return paths


CHECKS = [check for check in default_checks(1) if check.name in ASKED]


def asked(files, **more):
    return audit(files["rows"], files["reference"], holdout=files["holdout"], **{"checks": CHECKS, "seed": 1, **more})


def said(found):
    findings = json.loads(json.dumps([to_json(f) for f in found.findings]), parse_float=lambda x: round(float(x), 6))
    return findings, found.table.to_pylist(), dict(found.skipped), found.worst_rows.ids


@dataclass(frozen=True)
class Deadly:
    """A check that kills the worker that looks at a part in the middle, the first time."""

    mark: str
    name: str = "deadly"
    needs: frozenset[str] = frozenset()

    def summarise(self, batch):
        if batch.start == 120 and not Path(self.mark).exists():
            Path(self.mark).write_text("died")
            os.kill(os.getpid(), signal.SIGKILL)
        return len(batch.texts)

    def merge(self, a, b):
        return a + b

    def conclude(self, synthetic, reference, control, holdout):
        return [Finding("deadly.n", "Rows", synthetic, None, None, "lower", "ok", "t", "Rows.", settings={})]

    def score(self, batch, findings):
        return {}


def check_engine(files, tmp_path, engine):
    """Ask the usual and a check that kills a worker half-way."""
    Path(tmp_path / "alone").write_text("nobody dies here")
    alone, many = (
        asked(files, checks=[*CHECKS, Deadly(str(tmp_path / name))], engine=of)
        for name, of in (("alone", LocalEngine(1)), ("died", engine))
    )
    assert (tmp_path / "died").exists()
    findings, *rest = said(many)
    assert (findings, *rest) == said(alone)
    assert findings[-1]["value"] == 223, "no row was counted twice"


def test_several_processes_say_the_same_although_one_dies(files, tmp_path):
    check_engine(files, tmp_path, LocalEngine(2))


def test_all_checks_say_the_same_from_several_processes(files):
    alone, many = (said(asked(files, checks=None, engine=LocalEngine(n))) for n in (1, 2))
    assert alone == many


def test_a_table_is_told_the_same_from_several_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(_audit, "_PART_ROWS", 60)
    rng, sides = np.random.default_rng(0), {}
    for side, n in (("rows", 200), ("reference", 240), ("holdout", 80)):
        age, city = rng.integers(18, 90, n), rng.choice(["Bath", "Rome"], n)
        sides[side] = tmp_path / f"{side}.csv"
        sides[side].write_text("age,city\n" + "".join(f"{a},{c}\n" for a, c in zip(age, city, strict=True)))
    alone, many = (said(asked(sides, checks=[TablesCheck()], engine=LocalEngine(n))) for n in (1, 2))
    assert alone == many and len(alone[0]) > 5


@pytest.mark.slow
def test_a_ray_with_two_workers_says_the_same_although_one_dies(files, tmp_path):
    import ray

    try:
        check_engine(files, tmp_path, RayEngine(workers=2))
    finally:
        ray.shutdown()


class Stop(Exception):
    pass


@pytest.mark.parametrize("stage", STAGES)
def test_an_audit_cut_off_in_any_stage_goes_on_from_there(files, tmp_path, stage):
    def cut(name, done, total):
        if name.startswith(stage) and 0 < done:
            raise Stop

    with pytest.raises(Stop):
        asked(files, work=tmp_path / "work", progress=cut)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert stamps and not any(path.name.endswith(".tmp") for path in stamps)
    found = asked(files, work=tmp_path / "work")
    assert said(found) == said(asked(files))
    kept = [path for path, stamp in stamps.items() if path.stat().st_mtime_ns == stamp]
    assert kept == list(stamps), "what was done is not done again"


def test_what_a_model_was_asked_is_not_asked_again(files, tmp_path):
    class Counted(UnigramScorer):
        asked = 0

        def log_probs(self, pairs):
            self.asked += len(pairs)
            return super().log_probs(pairs)

    def cut(name, done, total):
        if name.startswith("asking the model") and done:
            raise Stop

    def of(scorer, **more):
        return asked(files, checks=[PerplexityCheck()], scorer=scorer, **more)

    scorer, whole = Counted(["a b c"]), Counted(["a b c"])
    with pytest.raises(Stop):
        of(scorer, work=tmp_path / "work", progress=cut)
    first = scorer.asked
    found = of(scorer, work=tmp_path / "work")
    assert said(found) == said(of(whole))
    assert 0 < first < whole.asked
    assert scorer.asked == whole.asked + 2, "every row once, and at each start one text by which the model is known"


@pytest.mark.parametrize("stage", STAGES)
def test_a_process_killed_in_any_stage_leaves_what_another_goes_on_with(files, tmp_path, stage):
    script = (
        "import os, signal, sys\n"
        "from unflaw.audit import _audit, audit, default_checks\n"
        "*paths, work, stage, asked = sys.argv[1:]\n"
        "def kill(name, done, total):\n"
        "    if name.startswith(stage) and done: os.kill(os.getpid(), signal.SIGKILL)\n"
        "_audit._PART_ROWS = 60\n"
        "checks = [check for check in default_checks(1) if check.name in asked.split()]\n"
        "audit(*paths[:2], holdout=paths[2], checks=checks, seed=1, work=work, progress=kill)"
    )
    work = tmp_path / "work"
    paths = [str(files[side]) for side in ("rows", "reference", "holdout")]
    call = [sys.executable, "-c", script, *paths, str(work), stage, " ".join(ASKED)]
    killed = subprocess.run(call, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert all(load(path) is not None for path in work.rglob("summary.pkl")), "every file that is there is whole"
    there = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    assert said(asked(files, work=work)) == said(asked(files))
    assert there and all(path.stat().st_mtime_ns == stamp for path, stamp in there.items() if path.exists())


def test_a_changed_input_or_setting_is_noticed(files, tmp_path):
    asked(files, work=tmp_path / "work")
    with pytest.raises(UsageError, match="`seed`, the rows of `reference` changed"):
        files["reference"].write_text(files["reference"].read_text() + '{"question": "New?", "answer": "Yes"}\n')
        asked(files, work=tmp_path / "work", seed=2)


def test_another_word_in_a_file_as_long_and_as_old_is_noticed(files, tmp_path):
    asked(files, work=tmp_path / "work")
    file, text, before = files["rows"], files["rows"].read_text(), files["rows"].stat()
    file.write_text(text.replace("a", "e", 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UsageError, match="the rows of `rows` changed"):
        asked(files, work=tmp_path / "work")


def test_another_model_of_the_same_class_is_noticed(files, tmp_path):
    @dataclass
    class Turned:
        by: int

        def encode(self, texts):
            axes = np.eye(8, dtype=np.float32)
            return np.stack([axes[(len(text) + self.by) % 8] + axes[len(text) // 8 % 8] / 9 for text in texts])

    checks = [check for check in default_checks(1) if check.name == "gap"]
    found = [asked(files, checks=checks, encoder=Turned(0), work=tmp_path / "work") for _ in range(2)]
    assert said(found[0]) == said(found[1])
    with pytest.raises(UsageError, match="`encoder` changed"):
        asked(files, checks=checks, encoder=Turned(1), work=tmp_path / "work")


def test_nothing_is_left_in_the_temporary_folder(files, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    found = asked(files)
    assert list(Path(tmp_path / "tmp").iterdir()) == []
    assert len(found.row_scores()) == len(found.table), "the table is there although its file is not"


def test_other_labels_under_the_same_names_are_other_rows(tmp_path):
    records = [{"unflaw.id": str(i), "text": f"text {i % 20}", "label": "a"} for i in range(60)]
    rows, other = (
        Rows.from_records([{**r, "label": r["label"] if same else i % 2} for i, r in enumerate(records)],
                          {"text": "text", "label": "label"}) for same in (True, False)
    )  # fmt: skip
    audit(rows, checks=[CopiesCheck()], work=tmp_path)
    with pytest.raises(UsageError, match="rows of `rows` changed.*--overwrite"):
        audit(other, checks=[CopiesCheck()], work=tmp_path)
