"""What the machine gets back of memory that is freed, measured in processes of their own."""

import importlib
import os
import platform
import subprocess
import sys
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from unflaw._cli._app import app

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc has rules of its own")

HELD = """
import resource
import sys
from pathlib import Path

import numpy as np

from unflaw._cli._memory import freed_at_once

MIB = 2**20


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // MIB


def held_after_freeing():
    before, blocks, small = resident(), [], []
    for _ in range(50):  # something small behind every block, as in a training step, keeps the heap from shrinking
        blocks.append(np.ones(4 * MIB, np.uint8))
        small.append(np.ones(MIB // 2, np.uint8))
    blocks.clear()
    return resident() - before - 25, small


for _ in range(2):
    np.ones(16 * MIB, np.uint8)  # freed: from now on glibc keeps what is smaller
with freed_at_once(sys.argv[1] == "wanted"):
    inside, _ = held_after_freeing()
outside, _ = held_after_freeing()
print(inside, outside)
"""


def held(wanted, **environment):
    done = subprocess.run(
        [sys.executable, "-c", HELD, wanted], capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return map(int, done.stdout.split())


def test_freed_blocks_go_back_while_it_is_asked_for():
    inside, outside = held("wanted")
    assert inside < 30  # beside the 25 MiB of small blocks: nothing but slack
    assert outside > 150  # as glibc does by itself: most of the 200 MiB


@pytest.mark.parametrize(
    ("wanted", "environment"),
    [
        ("no", {}),
        ("wanted", {"MALLOC_MMAP_THRESHOLD_": str(2**25)}),
        ("wanted", {"GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={2**25}"}),
    ],
)
def test_malloc_is_left_alone_where_it_is_not_wanted_or_set_already(wanted, environment):
    inside, _ = held(wanted, **environment)
    assert inside > 150


@pytest.mark.parametrize("more", [["--gradient-checkpointing"], []])
@pytest.mark.parametrize("verb", ["train", "repair"])
def test_gradient_checkpointing_asks_for_it(verb, more, tiny, tmp_path, monkeypatch):
    asked = []

    @contextmanager
    def spy(wanted):
        asked.append(wanted)
        yield

    monkeypatch.setattr(importlib.import_module(f"unflaw._cli._{verb}"), "freed_at_once", spy)
    rows, guard = (tmp_path / f"{name}.jsonl" for name in ("rows", "guard"))
    rows.write_text('{"prompt": "Where?", "response": "In the hills."}\n')
    guard.write_text('{"prompt": "When?", "response": "In the evening."}\n')
    given = {"train": [rows], "repair": ["--replay", rows, "--guard", guard, "--w-forget", 0]}[verb]
    words = [verb, f"hf:{tiny}", *given, "--steps", 1, "--out", tmp_path / "out", *more]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert asked == [bool(more)]
