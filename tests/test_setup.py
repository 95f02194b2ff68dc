"""What scripts/setup.sh installs is what pyproject.toml asks for and what the code expects."""

import re
import subprocess
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def requirements(name):
    lines = (line.split("#")[0].split(" --hash")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return {canonicalize_name(r.name): r for r in map(Requirement, filter(None, lines))}


def test_every_dependency_has_a_lower_bound_and_a_pin_that_meets_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = requirements("constraints.txt")
    for text in [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]:
        wanted = Requirement(text)
        pin = str(pins[canonicalize_name(wanted.name)].specifier)
        assert pin.startswith("=="), wanted
        assert wanted.specifier.contains(pin.removeprefix("==")), f"{wanted} but {pin}"
        assert ">=" in str(wanted.specifier) or wanted.name.startswith("types-"), f"{wanted} has no lower bound"


def test_the_model_packages_are_those_the_code_looks_for():
    from unflaw.models._embedded import ASSETS

    assert {asset.requirement for asset in ASSETS.values()} == {str(r) for r in requirements("assets.txt").values()}
    assert (ROOT / "assets.txt").read_text().count("--hash=sha256:") == len(ASSETS)


def test_an_old_python_is_refused_in_words(tmp_path):
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    copy = tmp_path / "scripts"
    copy.mkdir()
    (copy / "setup.sh").write_text((ROOT / "scripts" / "setup.sh").read_text())
    for name in ("pyproject.toml", "constraints.txt", "assets.txt"):
        (tmp_path / name).touch()
    done = subprocess.run(
        ["sh", copy / "setup.sh"], env={"PYTHON": str(old), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.search("no Python 3.11 or newer found", done.stderr)
    assert not (tmp_path / ".venv").exists()
