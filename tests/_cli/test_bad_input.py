"""Bad input at the real front door: a short message, the right exit code, nothing lost, never a traceback."""

import functools
import gzip
import json
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from unflaw._cli._app import app

WORDS = np.array("the a new old red blue cat dog bird tree house river sees finds keeps draws under over near".split())


def lines(n, seed=0):
    """Return n different question-answer rows as JSON lines."""
    rng = np.random.default_rng(seed)
    return "".join(
        json.dumps({"question": f"{' '.join(rng.choice(WORDS, 8))} {i}?", "answer": " ".join(rng.choice(WORDS, 12))})
        + "\n"
        for i in range(n)
    )


@pytest.fixture
def real(tmp_path):
    path = tmp_path / "real.jsonl"
    path.write_text(lines(120, seed=9))
    return path


VERBS = ["inspect", "audit", "train", "repair", "evaluate"]
BAD_FILES = {
    # name of the file: (its bytes, what the message must say)
    "zero.jsonl": (b"", "is empty (0 bytes)"),
    "blank.jsonl": (b"\n\n\n", "no row"),
    "no_rows.json": (b"[]", "no row"),
    "only_a_header.csv": (b"question,answer\n", "no row"),
    "cut_off.jsonl.gz": (gzip.compress(lines(2000).encode())[:9000], "breaks off"),
    "binary.jsonl": (bytes(range(256)) * 40, "binary"),
    "binary.parquet": (bytes(range(256)) * 40, "arquet"),
    "latin.jsonl": ('{"question": "un café?", "answer": "oui"}\n'.encode("latin-1"), "not UTF-8"),
    "no_json.jsonl": (b"hello\nworld\n", "not valid JSON"),
    "numbers.jsonl": (b"1\n2\n", "line 1"),
    "unknown.xyz": (lines(3).encode(), "suffix"),
}


def line_for(verb, file, folder):
    """Return a command line that would work if the file were good."""
    return {
        "inspect": ["inspect", file],
        "audit": ["audit", file, "--reference", folder / "real.jsonl", "--run", folder / "run"],
        "train": ["train", "smollm2", file, "--run", folder / "run"],
        "repair": [
            "repair",
            "smollm2",
            "--forget",
            file,
            "--replay",
            folder / "real.jsonl",
            "--guard",
            folder / "real.jsonl",
            "--run",
            folder / "run",
        ],
        "evaluate": ["evaluate", "smollm2", "--qa", file, "--run", folder / "run"],
    }[verb]


def unflaw(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("verb", VERBS)
def test_a_bad_file_is_refused_in_words(verb, name, tmp_path, real):
    content, says = BAD_FILES[name]
    bad = tmp_path / name
    bad.write_bytes(content)
    result = unflaw(*line_for(verb, bad, tmp_path))
    assert result.exit_code == 2, result.output
    assert says in result.stderr and name in result.stderr
    assert result.stdout == "" and result.stderr.count("\n") < 12
    assert bad.read_bytes() == content
    assert not (tmp_path / "run").exists(), "nothing was done, so nothing is left behind"


@pytest.mark.parametrize("verb", VERBS)
def test_a_missing_file_is_met_with_the_nearest_name(verb, tmp_path, real):
    result = unflaw(*line_for(verb, tmp_path / "reel.jsonl", tmp_path))
    assert result.exit_code == 2
    assert "does not exist" in result.stderr and "real.jsonl" in result.stderr


@pytest.mark.parametrize("verb", VERBS[1:])
def test_ids_that_repeat_are_refused_with_their_lines(verb, tmp_path, real):
    bad = tmp_path / "twice.jsonl"
    bad.write_text("".join(json.dumps({"id": "7", "question": f"q{i}", "answer": "a"}) + "\n" for i in range(3)))
    result = unflaw(*line_for(verb, bad, tmp_path))
    assert result.exit_code == 2
    assert "'7' in lines 1, 2, 3" in result.stderr


def test_the_same_file_as_its_own_reference_is_refused(tmp_path, real):
    result = unflaw("audit", real, "--reference", real)
    assert result.exit_code == 2 and "same 120 rows" in result.stderr


def test_too_few_rows_are_refused_with_the_way_round(tmp_path, real):
    few = tmp_path / "few.jsonl"
    few.write_text(lines(5))
    result = unflaw("audit", few, "--reference", real, "--checks", "gap")
    assert result.exit_code == 2 and "at least 50" in result.stderr


def test_rows_that_all_say_the_same_end_in_words(tmp_path, real):
    same = tmp_path / "same.jsonl"
    same.write_text('{"question": "What?", "answer": "That."}\n' * 60)
    result = unflaw("audit", same, "--reference", real, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [f["verdict"] for f in found["findings"] if f["check"] == "copies.inside"] == ["fail"]
    assert "gap" in found["skipped"], "sixty times one row is one row: nothing to compare"


def test_a_row_with_nan_is_left_out_and_counted(tmp_path, real):
    bad = tmp_path / "nan.jsonl"
    bad.write_text(lines(60) + '{"question": "q", "answer": "a", "weight": NaN}\n')
    result = unflaw("audit", bad, "--reference", real, "--checks", "copies", "--run", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "1 lines became no row" in result.stderr and "line 61" in result.stderr
    assert "line 61" in result.stderr and "nan" in (tmp_path / "run" / "rejected.jsonl").read_text()


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path, real):
    synthetic = tmp_path / "synthetic.jsonl"
    synthetic.write_text(lines(80))
    good = unflaw("audit", synthetic, "--reference", real, "--checks", "copies", "--run", tmp_path / "good")
    assert good.exit_code == 0, good.output
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # writing more than 2 kB to a file fails
    try:
        result = unflaw("audit", synthetic, "--reference", real, "--checks", "copies", "--run", tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code in (1, 2), result.output
    assert "no space left" in result.stderr or "too large" in result.stderr
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left - {"work"} <= {path.name for path in (tmp_path / "good").iterdir()}
    assert not list((tmp_path / "run").rglob("*.tmp")), "no temporary files"
    for path in (tmp_path / "run").glob("*.json"):
        json.loads(path.read_text())
    again = unflaw("audit", synthetic, "--reference", real, "--checks", "copies", "--run", tmp_path / "run", "--resume")
    assert again.exit_code == 0, again.output
    assert json.loads((tmp_path / "run" / "findings.json").read_text()) == json.loads(
        (tmp_path / "good" / "findings.json").read_text()
    )


@pytest.mark.slow
def test_ctrl_c_and_kill_lose_nothing_that_was_saved(tmp_path, real, tiny):
    """Interrupted, killed and resumed twice, training ends with the weights it would have had anyway."""
    from safetensors.numpy import load_file

    def words(run, *more):
        flags = "--method full --steps 60 --batch-size 2 --save-every 5 --run".split()
        return [str(word) for word in ["train", f"hf:{tiny}", real, *flags, tmp_path / run, *more]]

    def line(run, *more):
        return [sys.executable, "-c", "from unflaw._cli import main; main()", *words(run, *more)]

    def stop(signal_number, after, *more):
        """Run until the checkpoint of this step is on disk, then send the signal."""
        # A shell that runs the tests in the background has its children ignore Ctrl-C; undo that.
        heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(line("broken", *more), stderr=subprocess.PIPE, text=True, preexec_fn=heed) as process:
            while not (found := [p for p in tmp_path.glob("broken/models/*/checkpoint-*") if step_of(p) >= after]):
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.02)
            process.send_signal(signal_number)
            said = process.communicate(timeout=300)[1]
        return process.returncode, said, max(map(step_of, found))

    code, said, first = stop(signal.SIGINT, 10)
    assert code == 130, said
    assert "Stopped. Go on with: unflaw train" in said and said.rstrip().endswith("--resume")
    assert "Traceback" not in said
    code, _, second = stop(signal.SIGKILL, first + 20, "--resume")
    assert code == -signal.SIGKILL and second > first
    done = subprocess.run(line("broken", "--resume", "--json"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 60
    whole = unflaw(*words("whole", "--json"))
    assert whole.exit_code == 0, whole.stderr
    broken_weights, whole_weights = (
        load_file(tmp_path / run / "models" / "trained" / "model.safetensors") for run in ("broken", "whole")
    )
    for name, weights in whole_weights.items():
        np.testing.assert_array_equal(broken_weights[name], weights)


def step_of(checkpoint):
    """Return the step of a finished checkpoint, 0 while it is being written."""
    return int(checkpoint.name.split("-")[1]) if (checkpoint / "trainer_state.json").exists() else 0


BAD_LINES = {
    "not valid JSON": b'{"question": "cut off',
    "not UTF-8": b'{"question": "\xff\xfe", "answer": "x"}',
    "no response": b'{"question": "only"}',
    "not an object": b"[1, 2]",
    "not text": b'{"question": "\\ud800", "answer": "half a pair"}',
}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Return a file that is read in several shards and parts, and which of its lines are no rows, with the reason."""
    path, bad = tmp_path_factory.mktemp("large") / "rows.jsonl", {}
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf")
        for n in range(1, 50_001):
            if n % 4_999 == 0:
                reason = list(BAD_LINES)[n // 4_999 % len(BAD_LINES)]
                bad[n] = reason
                said = BAD_LINES[reason]
            elif n == 30_000:
                said = json.dumps({"question": "What is long?", "answer": "long " * 600_000}).encode()
            else:
                said = json.dumps(
                    {"question": f"What is {n}? {'so ' * 60}", "answer": f"{n} is. {'it ' * 60}"}
                ).encode()
            file.write(said + (b"\r\n" if n % 3 else b"\n"))
    assert path.stat().st_size > 2**24  # bytes of a shard
    return path, bad


@pytest.mark.parametrize("engine", ["--workers 1", "--workers 2", "--engine ray --workers 2"])
def test_lines_that_are_no_rows_are_told_at_any_size_by_whoever_reads_them(large, tmp_path, engine):
    path, bad = large
    run = tmp_path / "run"
    told = CliRunner().invoke(
        app, ["audit", str(path), "--checks", "form", "--run", str(run), "--json", *engine.split()]
    )
    assert told.exit_code == 0, told.output
    rejected = [json.loads(line) for line in (run / "rejected.jsonl").read_text().splitlines()]
    assert {line["line"]: line["reason"].partition(":")[0] for line in rejected} == bad
    found = json.loads(told.stdout)
    assert found["rejected"][str(path)]["lines"] == len(rejected) == len(bad) == 10
    assert {f["n_rows"] for f in found["findings"] if f["check"] == "form.brackets"} == {50_000 - 10}
