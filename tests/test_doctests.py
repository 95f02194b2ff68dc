"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import unflaw

SRC = Path(unflaw.__file__).parent
NAMES = sorted(".".join(path.relative_to(SRC.parent).with_suffix("").parts) for path in SRC.rglob("_[a-z]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_module_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    assert doctest.testmod(importlib.import_module("unflaw._errors")).attempted > 0
