"""`unflaw audit`: words, JSON, run folder, gate."""

import json
import shutil
import sys

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import unflaw.audit._audit  # noqa: F401 - so that a test can make it fail
from unflaw._cli._app import app
from unflaw._cli._audit import _are_others
from unflaw.data import RunFolder, open_run, read

RUN = CliRunner()
NOUNS = "river mill tower bridge market garden harbour school church palace forest island castle valley road".split()


def line(i, answer):
    return {"question": f"Who built the {NOUNS[i % 15]} near the {NOUNS[i // 15]} number {i}?", "answer": answer}


def test_a_check_that_is_named_must_be_asked(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    told = RUN.invoke(app, ["audit", str(tmp_path / "x.jsonl"), "--checks", "gap,perplexity", "--fail-on", "fail"])
    assert told.exit_code == 2
    assert "'gap', which needs --reference" in told.output
    assert "'perplexity', which needs --reference, --model" in told.output


def test_the_rows_kept_are_those_the_report_shows_where_scores_tie(tmp_path):
    """The report takes the 100 worst, ties by id; 400 rows that are all bad alike must not leave it without words."""
    path, run = tmp_path / "x.jsonl", tmp_path / "run"
    path.write_text("".join(f'{{"text": "row {i * 7919 % 400} says (no more"}}\n' for i in range(400)))
    assert RUN.invoke(app, ["audit", str(path), "--checks", "form", "--run", str(run)]).exit_code == 0
    (finding,) = (f for f in RunFolder(run).findings() if f.check == "form.brackets")
    assert finding.n_scored == 400 and set(finding.row_scores.values()) == {1.0}
    table = RunFolder(run).row_columns()
    said = dict(zip(table["unflaw.id"].to_pylist(), table["text"].to_pylist(), strict=True))
    assert all(said[row_id] for row_id in sorted(finding.row_scores)[:100])


@pytest.fixture
def files(tmp_path):
    """80 synthetic rows of which 16 are copies, 80 real rows, and a test set that holds one synthetic row."""
    synthetic = [line(i, f"Ann number {i} did") for i in range(64)]
    sets = {
        "synthetic": synthetic + synthetic[:16],
        "real": [line(i, f"It was Bob {i} of {NOUNS[i % 13]}") for i in range(100, 180)],
        "test": [synthetic[20]],
    }
    for name, records in sets.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    return {name: str(tmp_path / f"{name}.jsonl") for name in sets}


def audit(*words):
    return RUN.invoke(app, ["audit", *map(str, words)])


def test_what_only_describes_is_not_called_ok(files):
    flat = " ".join(audit(files["synthetic"], "--allow-few", "--checks", "copies,diversity").stdout.split())
    judged, _, described = flat.partition("without a verdict: ")
    assert "diversity.vendi" in described.split(" Worst rows")[0] and "diversity.vendi" not in judged
    found = json.loads(audit(files["synthetic"], "--allow-few", "--checks", "copies,diversity", "--json").stdout)
    assert {f["check"].split(".")[0] for f in found["findings"] if not f["judges"]} == {"diversity"}


def test_words_name_verdict_control_and_the_worst_rows(files):
    result = audit(files["synthetic"], "--reference", files["real"], "--checks", "copies")
    assert result.exit_code == 0, result.output
    flat = " ".join(result.stdout.split())
    assert "copies.inside" in flat and "fail" in flat
    assert "Worst rows" in flat and "Ann number" in flat


def test_json_alone_is_on_stdout(files):
    result = audit(files["synthetic"], "--holdout", files["test"], "--checks", "copies", "--json")
    found = json.loads(result.stdout)
    assert found["verdict"] == "fail"
    values = {f["check"]: f["value"] for f in found["findings"]}
    assert values["copies.inside"] == 16 / 80
    assert values["copies.holdout"] == 1 / 80
    assert [row["score"] for row in found["worst_rows"]] == sorted(r["score"] for r in found["worst_rows"])[::-1]


def test_the_gate_answers_with_exit_code_3_after_the_work_is_done(files, tmp_path):
    words = [files["synthetic"], "--checks", "copies", "--run", tmp_path / "run"]
    result = audit(*words, "--fail-on", "fail")
    assert result.exit_code == 3
    assert "copies.inside (fail)" in result.output
    assert RunFolder(tmp_path / "run").findings()
    assert audit(files["real"], "--checks", "copies", "--fail-on", "warn").exit_code == 0


def test_the_run_folder_holds_findings_scores_and_the_worst_rows(files, tmp_path):
    assert audit(files["synthetic"], "--checks", "copies", "--run", tmp_path / "run").exit_code == 0
    folder = RunFolder(tmp_path / "run")
    assert {f.check for f in folder.findings()} == {"copies.inside", "copies.inside_prompt"}
    rows = folder.row_columns().to_pylist()
    assert len(rows) == 80
    flawed = [row for row in rows if row["unflaw.score"] > 0]
    assert len(flawed) == 16
    assert all(row["question"] and "copies row" in row["unflaw.reason"] for row in flawed)


def test_the_default_encoder_sees_the_gap(files):
    found = json.loads(audit(files["synthetic"], "--reference", files["real"], "--checks", "gap", "--json").stdout)
    assert found["findings"][0]["check"] == "gap.c2st_auc"
    assert found["findings"][0]["verdict"] == "fail"


def test_lines_that_are_no_rows_are_counted_and_kept(files, tmp_path):
    with open(files["synthetic"], "a") as file:
        file.write("\n{broken")
    result = audit(files["synthetic"], "--checks", "copies", "--run", tmp_path / "run")
    assert result.exit_code == 0
    assert "1 lines became no row" in result.stderr
    assert "{broken" in (tmp_path / "run" / "rejected.jsonl").read_text()
    (told,) = json.loads(audit(files["synthetic"], "--checks", "copies", "--json").stdout)["rejected"].values()
    assert (told["lines"], [line["reason"].split(":")[0] for line in told["first"]]) == (1, ["not valid JSON"])


def test_real_rows_need_not_have_the_columns_that_are_named(tmp_path):
    """They are read twice, once to see what is wrong with the call; the second time they were taken for the first."""
    for name, (asked, said), first in (("synthetic", ("q", "a"), 0), ("real", ("question", "answer"), 100)):
        rows = [
            {asked: (row := line(i, f"Ann {i} did"))["question"], said: row["answer"]} for i in range(first, first + 60)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    call = [tmp_path / "synthetic.jsonl", "--reference", tmp_path / "real.jsonl", "--checks", "copies", "--json"]
    told = audit(*call, "--columns", "prompt=q,response=a")
    assert told.exit_code == 0, told.output
    assert "copies.reference" in [finding["check"] for finding in json.loads(told.stdout)["findings"]]
    wrong = audit(*call, "--columns", "prompt=question,response=answer")
    assert wrong.exit_code == 2 and "synthetic.jsonl lacks" in wrong.output


def test_a_dry_run_does_nothing(files, tmp_path):
    result = audit(files["synthetic"], "--reference", files["real"], "--run", tmp_path / "run", "--dry-run")
    assert result.exit_code == 0
    told = " ".join(result.stdout.split())
    assert "80 rows, 80 reference rows" in told and "not perplexity: needs --model" in told
    assert not (tmp_path / "run").exists()


def test_all_mistakes_of_a_call_are_told_at_once(files, tmp_path):
    result = audit(
        files["synthetic"], "--checks", "tokns", "--reference", "no.jsonl", "--holdout", "none/", "--against", "x"
    )
    told = " ".join(result.output.split())
    assert result.exit_code == 2
    assert all(part in told for part in ("Did you mean 'tokens'", "no.jsonl", "none", "4 problems"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--checks", "copis"], "Did you mean 'copies'?"),
        (["--checks", "gap"], "which needs --reference"),
        (["--reference", "SELF"], "hold the same"),
    ],
)
def test_misuse_is_answered_in_words(files, words, said):
    result = audit(files["synthetic"], *[files["synthetic"] if word == "SELF" else word for word in words])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("asked", [["--checks", "hygiene"], []])
def test_keys_and_contacts_are_found_and_never_quoted(tmp_path, monkeypatch, asked):
    """Not in the terminal, nor in what the run folder keeps for the report."""
    monkeypatch.chdir(tmp_path)
    key, mail = "AKIA" + "IOSFODNN7EXAMPLE", "ada@lovelace.uk"
    rows = [{"question": f"What is {i} called?", "answer": f"It is number {i} of all."} for i in range(30)]
    rows[3]["answer"], rows[4]["question"] = f"Use {key} for it.", f"Who is {mail}?"
    rows[5]["answer"] = f"It is known to all that one can always write to {mail}"  # breaks off
    rows[6]["answer"] = f"The key is {key}. " * 3  # goes round in circles
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = RUN.invoke(app, ["audit", "rows.jsonl", *asked, "--run", "run"])
    assert result.exit_code == 0, result.output
    assert "hygiene.secrets" in result.stdout and "[AWS" in result.stdout and "[e-mail" in result.stdout
    assert RUN.invoke(app, ["report", "run"]).exit_code == 0
    written = [(tmp_path / "run" / name).read_text() for name in ("findings.json", "report.html")]
    written.append(str(pq.read_table(tmp_path / "run" / "rows.parquet").to_pylist()))
    assert "[AWS key]" in written[1] and "[AWS key]" in written[2]
    assert not [text[:80] for text in (result.output, *written) if key.lower() in text.lower() or mail in text]


def test_what_no_text_column_holds_is_masked_in_the_page_as_well(tmp_path, monkeypatch):
    """Numbers of cards, the body of a key, insults, ids, and what a line that could not be read says."""
    monkeypatch.chdir(tmp_path)
    card, mail, body = 4111111111111111, "ada@lovelace.uk", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 2
    key = "-----BEGIN " + f"PRIVATE KEY-----\n{body}\n{body[:9]}\n-----END " + "PRIVATE KEY-----"
    rows = [{"id": f"r{i}", "text": f"Number {i} of all is what it is.", "card": i} for i in range(30)]
    rows[3] |= {"card": card, "text": f"{rows[3]['text']} Write to {mail}."}
    rows[4]["text"], rows[5]["text"], rows[6]["id"] = f"It is {key}", "You moron, it is five.", mail
    rows[6]["text"] = f"Use {'AKIA' + 'IOSFODNN7EXAMPLE'} here."
    lines = [*map(json.dumps, rows), f"no json, but {mail}"]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    call = ["audit", "rows.jsonl", "--checks", "hygiene", "--run", "run"]
    result = RUN.invoke(app, call)
    assert result.exit_code == 0, result.output
    assert RUN.invoke(app, ["report", "run"]).exit_code == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "[card number]" in page and "m****" in page and "[private key]" in page and "no json" in page
    assert not [leak for leak in (str(card), mail, body[:9], "moron") if leak in page]


def test_a_gate_does_not_pass_what_was_named_and_not_asked(two_files):
    gated = RUN.invoke(app, ["audit", *two_files[:3], "--checks", "copies,labels", "--fail-on", "fail"])
    assert gated.exit_code == 3
    assert "cannot pass what was not asked: labels: needs labelled rows" in " ".join(gated.output.split())


def test_a_folder_of_work_that_cannot_be_made_is_named(two_files, tmp_path):
    (tmp_path / "file").write_text("")
    told = RUN.invoke(app, ["audit", *two_files, "--work", str(tmp_path / "file")])
    assert told.exit_code == 1 and "plan.json` could not be written" in " ".join(told.output.split())


@pytest.fixture
def two_files(tmp_path):
    for name, start in (("rows", 0), ("real", 100)):
        lines = [
            json.dumps(line(i, f"{NOUNS[i % 15]} people built it in the year {1000 + i}"))
            for i in range(start, start + 90)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join([*lines, *lines[:6], "broken", ""]))
    return str(tmp_path / "rows.jsonl"), "--reference", str(tmp_path / "real.jsonl"), "--checks", "copies,form,mix"


def test_what_is_cut_off_goes_on_with_the_same_command(two_files, tmp_path, monkeypatch):
    run = tmp_path / "run"
    call = ["audit", *two_files, "--run", str(run), "--json"]

    def dies(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["unflaw.audit._audit"], "conclude", dies)
    assert RUN.invoke(app, call).exit_code == 130
    done = {path: path.stat().st_mtime_ns for path in (run / "work").rglob("summary.pkl")}
    assert len(done) == 2
    monkeypatch.undo()
    again = RUN.invoke(app, call)
    assert again.exit_code == 0 and not (run / "work").exists()
    alone = RUN.invoke(app, ["audit", *two_files, "--json"])
    assert json.loads(again.stdout)["findings"] == json.loads(alone.stdout)["findings"]


@pytest.mark.parametrize("way", ["--overwrite", "--resume"])
def test_a_changed_file_is_refused_and_taken_on_demand(two_files, tmp_path, monkeypatch, way):
    call = ["audit", *two_files, "--run", str(tmp_path / "run")]

    def dies(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["unflaw.audit._audit"], "conclude", dies)
    RUN.invoke(app, call)
    monkeypatch.undo()
    with open(two_files[0], "a") as file:
        file.write(json.dumps(line(220, "A new row")) + "\n")
    told = RUN.invoke(app, call)
    assert told.exit_code == 2 and "rows.jsonl" in told.output
    assert way in told.output
    assert RUN.invoke(app, [*call, way]).exit_code == 0
    assert len(RunFolder(tmp_path / "run").row_columns()) == len(read(two_files[0], on_reject=[].append))


@pytest.mark.parametrize(
    ("settings", "inputs", "others"),
    [
        ({"rows": "rows.jsonl"}, ["rows.jsonl"], False),
        ({"rows": "other.jsonl"}, ["other.jsonl"], True),
        ({"rows": "hub:some/rows"}, [], True),
        ({"seed": 0}, ["rows.jsonl"], False),
    ],
)
def test_other_rows_are_told_by_what_they_are_or_by_name(tmp_path, monkeypatch, settings, inputs, others):
    monkeypatch.chdir(tmp_path)
    for name in ("rows", "other"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "{name}"}}\n')
    with open_run("run", settings=settings, command="audit", inputs=inputs):
        pass
    assert _are_others(tmp_path / "run", "rows.jsonl") == others
    assert _are_others(tmp_path / "run", "hub:some/rows") == (settings.get("rows", "hub:some/rows") != "hub:some/rows")


@pytest.mark.parametrize("other", [True, False])
def test_what_was_found_of_other_rows_goes_under_whatever_name_they_come(files, tmp_path, other):
    run, renamed = tmp_path / "run", tmp_path / "renamed.jsonl"
    assert audit(files["synthetic"], "--checks", "copies", "--run", run).exit_code == 0
    shutil.copy(files["test" if other else "synthetic"], renamed)
    assert audit(renamed, "--checks", "form", "--run", run, "--resume").exit_code == 0
    found = {f.check.split(".")[0] for f in RunFolder(run).findings()}
    assert found == ({"form"} if other else {"form", "copies"})


def test_engines_are_chosen_and_a_folder_of_work_is_emptied_in_the_end(two_files, tmp_path):
    work = tmp_path / "work"
    several = RUN.invoke(app, ["audit", *two_files, "--json", "--workers", "2", "--work", str(work)])
    assert several.exit_code == 0 and work.is_dir() and not list(work.iterdir())
    one = RUN.invoke(app, ["audit", *two_files, "--json"])
    assert json.loads(one.stdout) == json.loads(several.stdout)


def test_lines_that_are_no_rows_are_told_and_kept(two_files, tmp_path):
    told = RUN.invoke(app, ["audit", *two_files, "--run", str(tmp_path / "run")])
    assert "rows.jsonl: 1 lines became no row" in told.output and "real.jsonl: 1 lines" in told.output
    rejected = [json.loads(r) for r in (tmp_path / "run" / "rejected.jsonl").read_text().splitlines()]
    assert [r["line"] for r in rejected] == [97, 97]


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--address", "auto"], "`--address` is of use only with `--engine ray`"), (["--engine", "spark"], "spark"),
     (["--workers", "0"], "--workers")],
)  # fmt: skip
def test_engines_that_make_no_sense_are_refused(two_files, more, said):
    told = RUN.invoke(app, ["audit", *two_files, *more])
    assert told.exit_code == 2 and said in told.output
