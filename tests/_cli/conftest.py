"""Files that the commands about labelled rows read."""

import pytest

from labelled import labelled_rows
from labelled_calls import call
from unflaw.data import write


@pytest.fixture
def files(tmp_path):
    """Synthetic rows, a third of them wrong, and real ones in three parts."""
    write(labelled_rows(90, noise=0.3), tmp_path / "synthetic.jsonl")
    write(labelled_rows(200, seed=1), tmp_path / "real.jsonl")
    parts = "checker=60,validation=40,test=0.4"
    call("curate", "split", tmp_path / "real.jsonl", "--parts", parts, "--out", tmp_path)
    return tmp_path
