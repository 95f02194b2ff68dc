"""The options of reading mean the same on every verb that reads rows."""

import gzip
import json

import pytest
from typer.testing import CliRunner

from unflaw._cli._app import app, load_verb
from unflaw.data import RunFolder

RUN = CliRunner()
OPTIONS = {"schema", "columns", "ids", "on_truncated"}


def lines(n, **more):
    return "".join(json.dumps({"q": f"Who built bridge {i}?", "a": f"Ann {i} did", **more}) + "\n" for i in range(n))


@pytest.mark.parametrize("words", [["audit"], ["train"], ["repair"], ["evaluate"], ["generate", "qa"]])
def test_every_verb_that_reads_rows_has_them(words):
    loaded = load_verb(words[0])
    leaf = loaded if len(words) == 1 else loaded.commands[words[1]]
    assert {p.name for p in leaf.params} >= OPTIONS and "reading" not in {p.name for p in leaf.params}


def plan(path, *words):
    return RUN.invoke(app, ["audit", str(path), "--checks", "copies", "--dry-run", "--json", *words])


def test_columns_and_schema_say_what_a_strange_file_holds(tmp_path):
    (tmp_path / "x.jsonl").write_text(lines(3))
    refused = plan(tmp_path / "x.jsonl")
    assert refused.exit_code == 2 and "--columns" in refused.output
    assert json.loads(plan(tmp_path / "x.jsonl", "--columns", "prompt=q,response=a").stdout)["rows"] == 3
    assert json.loads(plan(tmp_path / "x.jsonl", "--schema", "table").stdout)["rows"] == 3
    wrong = plan(tmp_path / "x.jsonl", "--columns", "prompt")
    assert wrong.exit_code == 2 and "'prompt' has no column" in wrong.output


def test_columns_hold_for_the_first_file_and_for_others_that_have_them(tmp_path):
    (tmp_path / "x.jsonl").write_text(lines(3))
    (tmp_path / "real.jsonl").write_text('{"question": "When?", "answer": "Now."}\n')
    told = plan(tmp_path / "x.jsonl", "--columns", "prompt=q,response=a", "--reference", str(tmp_path / "real.jsonl"))
    assert json.loads(told.stdout) == {
        "checks": ["copies"], "lack": {}, "rows": 3, "reference": 1, "rejected": {},
    }  # fmt: skip
    wrong = plan(tmp_path / "real.jsonl", "--columns", "prompt=q,response=a", "--reference", str(tmp_path / "x.jsonl"))
    assert wrong.exit_code == 2 and "'q'" in wrong.output


def test_rows_that_share_an_id_can_be_named_by_what_they_say(tmp_path):
    (tmp_path / "x.jsonl").write_text(lines(3, id="same"))
    columns = ("--columns", "prompt=q,response=a")
    refused = plan(tmp_path / "x.jsonl", *columns)
    assert refused.exit_code == 2 and "--ids content" in refused.output
    assert json.loads(plan(tmp_path / "x.jsonl", *columns, "--ids", "content").stdout)["rows"] == 3


def test_what_a_cut_off_file_still_holds_can_be_kept(tmp_path):
    whole = gzip.compress("".join(f'{{"prompt": "p{i * 7919}", "response": "r{i}"}}\n' for i in range(4000)).encode())
    (tmp_path / "x.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    refused = plan(tmp_path / "x.jsonl.gz")
    assert refused.exit_code == 2 and "--on-truncated keep" in refused.output
    assert 0 < json.loads(plan(tmp_path / "x.jsonl.gz", "--on-truncated", "keep").stdout)["rows"] < 4000


def test_lines_that_are_no_rows_are_told_and_kept_in_the_run_folder(tmp_path):
    rows = '{"prompt": "p", "response": "r"}\nno json\n' * 3
    (tmp_path / "x.jsonl").write_text(rows)
    result = RUN.invoke(app, ["audit", str(tmp_path / "x.jsonl"), "--checks", "copies", "--allow-few",
                              "--run", str(tmp_path / "run")])  # fmt: skip
    assert "3 lines became no row" in result.output, result.output
    kept = [json.loads(line) for line in (tmp_path / "run" / "rejected.jsonl").read_text().splitlines()]
    assert [k["line"] for k in kept] == [2, 4, 6]
    assert RunFolder(tmp_path / "run").findings()
