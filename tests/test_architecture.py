"""The rooms and the doors between them. If this file must change, say why in the commit."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import unflaw

SRC = Path(unflaw.__file__).parent
ROOT = SRC.parent.parent
MODULES = sorted(SRC.rglob("*.py"))

GROUND = {"data", "measure", "models"}
STAIRS = GROUND | {"train"}
VERBS = {"audit", "curate", "generate", "repair", "evaluate"}
MAY_IMPORT = {
    "data": set(),
    "measure": set(),
    "models": set(),
    "train": GROUND,
    **{verb: STAIRS for verb in sorted(VERBS)},
    "report": {"data"},
    "_cli": STAIRS | VERBS | {"report"},
}


def name_of(path):
    return path.relative_to(SRC).as_posix()


def rooms_imported_by(tree):
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            if node.module == "unflaw":  # `from unflaw import audit`
                names = [f"unflaw.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "unflaw" and rest and rest not in ("_errors", "__version__"):
                yield rest.split(".")[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_only_open_the_doors_they_own(room):
    for path in (SRC / room).rglob("*.py"):
        strangers = set(rooms_imported_by(ast.parse(path.read_text()))) - MAY_IMPORT[room] - {room}
        assert not strangers, f"{name_of(path)} imports {sorted(strangers)}"


def test_every_room_is_listed():
    assert {path.parent.name for path in SRC.glob("*/__init__.py")} == set(MAY_IMPORT)


def test_a_room_is_entered_by_its_door_only():
    """Outside a room nobody imports its private modules; tests of the room itself may."""
    for path in MODULES:
        room = path.relative_to(SRC).parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("unflaw."):
                parts = node.module.split(".")[1:]
                if parts[0] not in (room, "_errors"):
                    assert len([part for part in parts if part.startswith("_")]) == 0, f"{name_of(path)}: {node.module}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_and_functions_are_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert not body or node.end_lineno - body[0].lineno < 80, f"{node.name} is too long"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_catches_everything_or_asserts_what_a_caller_did(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            broad = ast.unparse(node.type) in ("Exception", "BaseException")
            assert passed_on or not broad, f"line {node.lineno}: broad except"
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: raise instead"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_offers(path):
    """`__all__` is there (ruff sorts it) and every name in it exists."""
    if name_of(path) == "__init__.py":
        return
    module = importlib.import_module(".".join(path.relative_to(SRC.parent).with_suffix("").parts))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert ast.get_docstring(ast.parse(path.read_text())), "no docstring"


def test_public_names_are_sorted_and_resolve():
    assert list(unflaw.__all__) == sorted(unflaw.__all__, key=str.casefold)
    assert all(getattr(unflaw, name) is not None for name in unflaw.__all__)


@pytest.mark.parametrize("name", ["audit", "evaluate"])
def test_a_verb_stays_a_function_although_its_room_has_its_name(name):
    importlib.import_module(f"unflaw.{name}")
    assert callable(getattr(unflaw, name))


def test_generated_pages_are_current():
    spec = importlib.util.spec_from_file_location("write_docs", ROOT / "scripts" / "write_docs.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    stale = [path.name for path, text in script.pages().items() if path.read_text() != text]
    assert stale == [], "run `make docs`"


def test_links_in_the_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_file_knows_the_machine_it_was_written_on():
    for folder in ("src", "tests", "docs", "examples", "scripts"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".sh", ".toml", ".j2", ".yaml", ".jsonl"):
                found = re.findall(r"/(?:home|work|root)/\w+", path.read_text(encoding="utf-8"))
                assert not found, f"{path.relative_to(ROOT)}: {found}"
