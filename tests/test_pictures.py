"""Every check is documented with a picture of clean and of flawed rows, and the picture shows what the check says."""

import json
import re
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from unflaw.audit import default_checks

ROOT = Path(__file__).parent.parent
CHECKS = {check.name: check for check in default_checks()}
DRAWN = json.loads((ROOT / "docs" / "checks" / "scenes.json").read_text(encoding="utf-8"))
BY_A_MODEL = {"perplexity"}


@cache
def script():
    sys.path.insert(0, str(ROOT / "scripts"))
    import write_pictures

    return write_pictures, write_pictures.scenes()


@pytest.mark.parametrize("name", CHECKS)
def test_clean_rows_are_fine_and_flawed_ones_are_not(name):
    told = DRAWN[name]
    assert {verdict for _, verdict in told["clean"].values()} == {"ok"}
    assert {verdict for _, verdict in told["flawed"].values()} & {"warn", "fail"}


@pytest.mark.parametrize("name", CHECKS)
def test_the_picture_names_every_finding(name):
    picture = ElementTree.parse(ROOT / "docs" / "checks" / f"{name}.svg")
    words = " ".join(picture.getroot().itertext())
    for check, (_, verdict) in DRAWN[name]["flawed"].items():
        clean = DRAWN[name]["clean"].get(check)
        assert f"{check}: {f'clean {clean[1]}, ' if clean else ''}flawed {verdict}" in words


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - BY_A_MODEL))
def test_the_numbers_are_those_of_the_check(name):
    pictures, scenes = script()
    now = pictures.numbers(scenes[name], *pictures.seen(CHECKS[name], scenes[name]))
    told = DRAWN[name]
    assert (now["flaw"], now["rows"]) == (told["flaw"], told["rows"])
    for side in ("clean", "flawed"):
        assert {check: verdict for check, (_, verdict) in now[side].items()} == {
            check: verdict for check, (_, verdict) in told[side].items()
        }, "run `python scripts/write_pictures.py`"
        for check, (value, _) in now[side].items():
            assert value == pytest.approx(told[side][check][0], rel=0.05, abs=0.01)


def test_every_finding_has_a_flaw_that_is_planted_or_a_reason_for_none():
    script()  # puts the study on the path
    from flaws import FLAWS, UNPLANTED
    from table_flaws import TABLE_FLAWS

    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    findings = set(re.findall(r"^\| `([a-z_]+\.[a-z_0-9]+)` \|", page, re.MULTILINE))
    planted = [name for flaw in (*FLAWS.values(), *TABLE_FLAWS.values()) for name in flaw.seen_by]
    asked = {f for f in findings if f.startswith(tuple(planted))}
    assert findings - asked - {f for f in findings if f.startswith("perplexity.")} <= UNPLANTED.keys() <= findings
    assert not UNPLANTED.keys() & asked
