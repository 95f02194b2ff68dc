"""The examples run, and say what they promise."""

import html
import subprocess
import sys
from pathlib import Path

import pytest

from unflaw.data import RunFolder
from unflaw.train import ARMS

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("[0-9]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_example_runs(path, tmp_path, tmp_path_factory):
    place = tmp_path_factory.mktemp("kept")
    done = subprocess.run([sys.executable, path, place], cwd=tmp_path, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing where it was called"
    if path.name == "03_labelled_text.py":
        _shows_the_walk(RunFolder(place / "run"))


def _shows_the_walk(run):
    """Data, subjectivity, weights against truth, difficulty map and all arms, on one page."""
    found = {f.check: f for f in run.findings()}
    assert {"subjectivity.task", "weights.truth", "difficulty.levels", "subjectivity.accuracy"} <= found.keys()
    assert [plot.title for plot in found["difficulty.levels"].plots][0] == "Data map"
    assert {s.model for s in run.scores()} == set(ARMS)
    assert {p["model_b"] for p in run.comparisons()} == set(ARMS) - {"plain"}
    page = html.unescape(run.report_path.read_text(encoding="utf-8"))
    for title in (*(f.title for f in found.values()), "Data map", *ARMS):
        assert title in page


def test_the_examples_are_numbered_in_order():
    assert [path.name[:2] for path in EXAMPLES] == [f"{i + 1:02}" for i in range(len(EXAMPLES))]
