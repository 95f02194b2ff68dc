"""Bad input at the real front door: a short message, the right exit code, nothing lost, never a traceback."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from unflaw._cli._app import app

UNFLAW = [sys.executable, "-c", "from unflaw._cli import main; main()"]
WORDS = np.array("the a new old red blue cat dog bird tree house river sees finds keeps draws under over near".split())


def lines(n, seed=0):
    """Return n different question-answer rows as JSON lines."""
    rng = np.random.default_rng(seed)
    return "".join(
        json.dumps({"question": f"{' '.join(rng.choice(WORDS, 8))} {seed}.{i}?", "answer": " ".join(rng.choice(WORDS, 12))})
        + "\n"
        for i in range(n)
    )  # fmt: skip


@pytest.fixture
def real(tmp_path):
    path = tmp_path / "real.jsonl"
    path.write_text(lines(120, seed=9))
    return path


BAD_FILES = {
    # name of the file: (its bytes, what the message must say)
    "zero.jsonl": (b"", "is empty (0 bytes)"),
    "blank.jsonl": (b"\n\n\n", "is a row"),
    "no_rows.json": (b"[]", "no"),
    "only_a_header.csv": (b"question,answer\n", "no"),
    "cut_off.jsonl.gz": (gzip.compress(lines(2000).encode())[:9000], "breaks off"),
    "binary.jsonl": (bytes(range(256)) * 40, "binary"),
    "binary.parquet": (bytes(range(256)) * 40, "arquet"),
    "latin.jsonl": ('{"question": "un café?", "answer": "oui"}\n'.encode("latin-1"), "not UTF-8"),
    "no_json.jsonl": (b"hello\nworld\n", "not valid JSON"),
    "numbers.jsonl": (b"1\n2\n", "line 1"),
    "unknown.xyz": (lines(3).encode(), "suffix"),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("verb", ["inspect", "audit", "train"])
def test_a_bad_file_is_refused_in_words(verb, name, tmp_path, real):
    content, says = BAD_FILES[name]
    bad = tmp_path / name
    bad.write_bytes(content)
    flags = {"inspect": [], "audit": ["--reference", str(real)], "train": ["--run", str(tmp_path / "run")]}[verb]
    result = CliRunner().invoke(app, [verb, str(bad), *flags])
    assert result.exit_code == 2, result.output
    assert says in result.stderr and name in result.stderr
    assert result.stdout == "" and result.stderr.count("\n") < 12
    assert bad.read_bytes() == content


@pytest.mark.parametrize("verb", ["inspect", "audit", "train"])
def test_a_missing_file_is_met_with_the_nearest_name(verb, tmp_path, real):
    flags = {"inspect": [], "audit": ["--reference", str(real)], "train": ["--run", str(tmp_path / "run")]}[verb]
    result = CliRunner().invoke(app, [verb, str(tmp_path / "reel.jsonl"), *flags])
    assert result.exit_code == 2
    assert "does not exist" in result.stderr and "real.jsonl" in result.stderr
