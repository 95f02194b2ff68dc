"""Importing costs nothing: heavy libraries load when a function needs them, never before."""

import subprocess
import sys

import pytest

from unflaw._cli._app import VERBS

HEAVY = {
    "accelerate", "altair", "datasets", "openai", "pandas", "peft", "rensa", "scipy", "sklearn", "torch",
    "transformers", "xllamacpp",
}  # fmt: skip
ROOMS = ["data", "measure", "models", "train", "audit", "generate", "repair", "evaluate", "report"]


def loaded_by(code):
    """Run code in a fresh interpreter; return the top-level names of all modules it loaded."""
    probe = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


def test_importing_unflaw_loads_nothing_but_itself():
    strangers = loaded_by("import unflaw") - loaded_by("import importlib, typing, __future__")
    assert strangers == {"unflaw"}


def test_importing_unflaw_has_no_effects():
    code = """
import logging, os, sys, warnings
before = dict(os.environ), logging.root.level, list(logging.root.handlers), list(warnings.filters), sys.excepthook
import unflaw
after = dict(os.environ), logging.root.level, list(logging.root.handlers), list(warnings.filters), sys.excepthook
assert before == after
"""
    loaded_by(code)


@pytest.mark.parametrize("room", ROOMS)
def test_opening_a_room_loads_nothing_heavy(room):
    assert loaded_by(f"import unflaw.{room}") & HEAVY == set()


def test_help_loads_nothing_heavy_for_any_verb():
    code = f"""
from unflaw._cli._app import app, load_verb
for verb in {list(VERBS)!r}:
    load_verb(verb)
try:
    app(["--help"])
except SystemExit:
    pass
"""
    assert loaded_by(code) & (HEAVY | {"jinja2", "numpy", "pyarrow", "yaml"}) == set()
