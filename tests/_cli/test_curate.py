"""`unflaw curate filter`: an audit's scores become two files."""

import json

import pytest
from typer.testing import CliRunner

from unflaw._cli._app import app
from unflaw.data import RunFolder, read

RUN = CliRunner()
DEEDS = ["found", "lost", "painted", "sold", "mended", "hid", "drew", "broke", "carried", "dropped"]
THINGS = ["the red boat", "a brass key", "her old map", "two lanterns", "the last letter", "a coil of rope"]
REFUSAL = "I'm sorry, but as an AI language model I cannot assist with that."


def call(*words, code=0):
    result = RUN.invoke(app, [str(w) for w in words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def audited(tmp_path):
    """Sixty rows, six of them refusals, and the run folder of their audit."""
    file, run = tmp_path / "rows.jsonl", tmp_path / "run"
    records = [
        {"question": f"What did {name} do with {thing}?", "answer": f"{name} {deed} {thing}.", "label": i % 2}
        for i, (name, deed, thing) in enumerate((f"Person {k}", DEEDS[k % 10], THINGS[k // 10]) for k in range(60))
    ]
    for i in range(0, 60, 10):
        records[i]["answer"] = REFUSAL
    file.write_text("\n".join(map(json.dumps, records)))
    call("audit", file, "--checks", "residue,form", "--run", run)
    return file, run


def test_the_rows_an_audit_blames_go_with_score_and_reason(audited, tmp_path):
    file, run = audited
    call("curate", "filter", file, "--run", run, "--above", 0)
    kept, gone = read(run / "kept.jsonl"), read(run / "removed.jsonl")
    assert len(kept) == 54 and REFUSAL not in kept.column("answer")
    assert set(gone.column("answer")) == {REFUSAL}
    assert all("as an AI language model" in reason for reason in gone.column("unflaw.reason"))
    assert set(gone.column("unflaw.score")) == {1.0}
    chosen = RunFolder(run).selection()
    assert (set(chosen.kept), set(chosen.removed)) == (set(kept.ids), set(gone.ids))
    assert call("audit", run / "kept.jsonl", "--checks", "residue", "--fail-on", "warn").exit_code == 0


def test_dry_run_shows_what_would_change_and_writes_nothing(audited, tmp_path):
    file, run = audited
    before = sorted(run.iterdir())
    told = json.loads(
        call("curate", "filter", file, "--run", run, "--keep", 50, "--balance", "label", "--dry-run", "--json").stdout
    )
    assert (told["rows"], told["kept"], told["removed"], told["dry_run"]) == (60, 50, 10, True)
    assert told["classes"] == {"0": {"before": 30, "kept": 25}, "1": {"before": 30, "kept": 25}}
    assert told["cut"] == {"kept_up_to": 1.0, "removed_from": 0.0}  # all six refusals are of label 0, and five go
    assert told["mean_score"]["kept"] < told["mean_score"]["before"] < told["mean_score"]["removed"]
    assert sorted(run.iterdir()) == before
    assert "50 of 60 rows would stay" in call("curate", "filter", file, "--run", run, "--keep", 50, "--dry-run").stdout


def test_a_dotted_name_keeps_its_version_where_it_was(audited, tmp_path):
    file, run = audited
    call("curate", "filter", file, "--run", run, "--keep", 50, "--out", tmp_path / "kept.v2.CSV.gz")
    assert len(read(tmp_path / "kept.v2.CSV.gz")) == 50 and len(read(tmp_path / "kept.v2-removed.CSV.gz")) == 10


def test_the_scores_of_some_checks_only(audited, tmp_path):
    file, run = audited
    out = tmp_path / "out.csv"
    call("curate", "filter", file, "--run", run, "--above", 0, "--checks", "residue.refusals", "--out", out)
    assert len(read(out)) == 54 and len(read(tmp_path / "out-removed.csv")) == 6
    told = call("curate", "filter", file, "--run", run, "--above", 0, "--checks", "residu,form.x", "--dry-run", code=2)
    assert "no scores of 'residu'. Did you mean 'residue'?" in " ".join(told.output.split())
    assert "'form.x'" in told.output


def test_rows_go_for_what_was_asked_of_them_and_nothing_else(tmp_path):
    """A refusal that leaves a bracket open has two flaws; asked about one, only that one is told."""
    file, run = tmp_path / "rows.jsonl", tmp_path / "run"
    said = [f"Person {i} {DEEDS[i % 10]} {THINGS[i % 6]}." for i in range(60)]
    said[3], said[7] = f"{REFUSAL} (on day 3", f"{REFUSAL} (on day 7"
    file.write_text("\n".join(map(json.dumps, [{"text": text} for text in said])))
    call("audit", file, "--checks", "residue,form", "--run", run)
    reasons = {}
    for asked in ("residue,form", "residue", "form.brackets"):
        out = tmp_path / f"of-{len(reasons)}.jsonl"
        call("curate", "filter", file, "--run", run, "--above", 0, "--checks", asked, "--out", out, "--overwrite")
        gone = read(out.with_name(f"{out.stem}-removed.jsonl"))
        reasons[asked] = dict(zip(gone.column("text"), gone.column("unflaw.reason"), strict=True))
    assert reasons["residue"].keys() == reasons["form.brackets"].keys() == {said[3], said[7]}
    for text in (said[3], said[7]):
        assert "as an AI" in reasons["residue"][text] and "(" not in reasons["residue"][text]
        assert "as an AI" not in reasons["form.brackets"][text] and "(" in reasons["form.brackets"][text]
        assert {reasons["residue"][text], reasons["form.brackets"][text]} <= {
            *reasons["residue,form"][text].split("; ")
        }


def test_what_any_finding_blames_goes_and_the_rest_stays(tmp_path):
    """Of three flaws in six rows each every one is enough, and of a group one row stays: one without another flaw."""
    file, run = tmp_path / "rows.jsonl", tmp_path / "run"
    said = [f"Person {i} {DEEDS[i % 10]} {THINGS[i % 6]} on day {i * 7}." for i in range(60)]
    for i in range(6):
        said[i], said[10 + i] = f"{REFUSAL} {i * i}", f"{said[10 + i]} Write to person{i}@mail.com"
    same = [f"({said[20]}", said[20], said[20].upper(), f" {said[20]}"]
    said[20:24] = same
    file.write_text("\n".join(map(json.dumps, [{"text": text} for text in said])))
    call("audit", file, "--checks", "residue,hygiene,copies,form", "--run", run)
    call("curate", "filter", file, "--run", run, "--above", 0.5)
    kept, gone = read(run / "kept.jsonl").column("text"), read(run / "removed.jsonl").column("text")
    assert set(gone[:12]) == {*said[:6], *said[10:16]} and len(kept) == 45
    assert len(set(kept) & set(same)) == 1 and same[0] not in kept
    groups = next(f for f in RunFolder(run).findings() if f.check == "copies.inside").evidence["groups"]
    stay = set(read(run / "kept.jsonl").ids)
    assert [stay & set(group["rows"]) for group in groups] == [set(), {groups[1]["best"]}]  # refusals go, all of them


def test_checks_that_found_nothing_take_nothing_out(tmp_path):
    """A pipeline that filters by a check must not stop at the first clean set."""
    file, run = tmp_path / "clean.jsonl", tmp_path / "run"
    file.write_text("".join(json.dumps({"text": f"On day {n} it rained on town {n * n}."}) + "\n" for n in range(60)))
    call("audit", file, "--checks", "copies", "--run", run)
    for named in ("copies", "copies.inside"):
        told = call("curate", "filter", file, "--run", run, "--above", 0, "--checks", named, "--dry-run", "--json")
        assert json.loads(told.stdout)["kept"] == 60
    call("curate", "filter", file, "--run", run, "--above", 0, "--checks", "residue", "--dry-run", code=2)  # not asked


def test_rows_that_go_for_a_harmless_flaw_alone_are_told(tmp_path):
    """Brackets left open cost a classifier nothing, refusals do: of twelve rows six have the first alone, two both."""
    file, run = tmp_path / "rows.jsonl", tmp_path / "run"
    said = [f"Person {i} {DEEDS[i % 10]} {THINGS[i % 6]}" for i in range(60)]
    for i in range(12):
        said[i] = f"{said[i] if i < 6 else REFUSAL} (on day {i}" if i < 8 else f"{REFUSAL} {i}"
    file.write_text("\n".join(json.dumps({"text": text, "label": i % 2}) for i, text in enumerate(said)))
    call("audit", file, "--checks", "residue,form,labels", "--run", run)
    words = ("curate", "filter", file, "--run", run, "--above", 0, "--dry-run", "--checks", "form.brackets,residue")
    told = json.loads(call(*words, "--json").stdout)
    assert told["removed"] == 12
    assert told["harmless"] == {"rows": 6, "findings": ["form.brackets"], "others": ["residue.refusals"]}
    out = " ".join(call(*words).stdout.split())
    assert (
        "6 of the rows that go have only flaws whose harm to a model our runs could not tell from noise (form.brackets)"
        in out
    )
    assert "--checks residue.refusals lets them stay" in out


def test_scores_from_elsewhere(audited, tmp_path):
    file, _ = audited
    ids = read(file).ids
    scores = tmp_path / "scores.csv"
    scores.write_text("id,score\n" + "\n".join(f"{i},{n}" for n, i in enumerate(ids)))
    out = tmp_path / "best.jsonl"
    call("curate", "filter", file, "--scores", scores, "--keep", 10, "--out", out)
    assert read(out).ids == ids[:10]


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("score\n1\n2\n", "must have columns id and score, got ['score']"),
        ("id,score\na,1\nb,\n", "got None for row 'b' (1 in all)"),
        ("id,score\na,1\nb,bad\n", "got 'bad' for row 'b' (1 in all)"),
        ("id,score\na,true\nb,false\n", "(2 in all)"),
    ],
)
def test_scores_that_are_none_are_named(audited, tmp_path, file, told):
    (tmp_path / "scores.csv").write_text(file)
    result = call("curate", "filter", audited[0], "--scores", tmp_path / "scores.csv", "--keep", 3, "--dry-run", code=2)
    assert told in " ".join(result.output.split())


def test_bad_calls_tell_every_mistake_and_write_nothing(audited, tmp_path):
    file, run = audited
    (tmp_path / "there.jsonl").write_text("")
    told = call("curate", "filter", file, "--out", tmp_path / "there.jsonl", "--worst", 2, "--keep", 5, code=2)
    for part in ("which exists", "exactly one of", "in [0, 1]", "must say where the scores are"):
        assert part in " ".join(told.output.split())
    other = tmp_path / "other.jsonl"
    other.write_text('{"question": "Who?", "answer": "Ada"}')
    told = call("curate", "filter", other, "--run", run, "--worst", 0.1, code=2)
    assert "1 of 1 rows without a score" in " ".join(told.output.split())
    call("curate", "filter", file, "--run", run, "--worst", 0.1, "--out", file, code=2)
    assert not (run / "kept.jsonl").exists()


def test_a_choice_is_replaced_only_on_demand(audited):
    file, run = audited
    call("curate", "filter", file, "--run", run, "--keep", 50)
    call("curate", "filter", file, "--run", run, "--keep", 40, code=2)
    assert len(RunFolder(run).selection().kept) == 50
    call("curate", "filter", file, "--run", run, "--keep", 40, "--overwrite")
    assert len(RunFolder(run).selection().kept) == len(read(run / "kept.jsonl")) == 40


def test_the_rows_that_stay_are_better_than_those_before(audited):
    file, run = audited
    call("curate", "filter", file, "--run", run, "--above", 0)
    words = ["audit", run / "kept.jsonl", "--against", file, "--checks", "residue,form"]
    against = json.loads(call(*words, "--json").stdout)["against"]
    assert against["rows"] == {"added": 0, "removed": 6, "kept": 54}
    turns = {change["check"]: change["turn"] for change in against["changes"]}
    assert turns["residue.refusals"] == "better" and "worse" not in turns.values()
    later = run.with_name("later")
    said = call(*words, "--run", later).stdout
    assert "Against the earlier version" in said and "0 rows added, 6 removed, 54 kept" in said
    assert RunFolder(later).changes() == against


def test_scores_are_not_written_over(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"id": "r{k}", "text": "{k}"}}\n' for k in range(4)))
    (tmp_path / "scores.csv").write_text("id,score\nr0,0\nr1,0.5\nr2,x\nr3,1\n")
    asked = ["curate", "filter", str(tmp_path / "rows.jsonl"), "--scores", str(tmp_path / "scores.csv"), "--keep", "2"]
    for flag in ("--out", "--removed"):
        more = [flag, str(tmp_path / "scores.csv"), *(["--out", str(tmp_path / "o.jsonl")] if flag != "--out" else [])]
        told = RUN.invoke(app, [*asked, *more, "--overwrite"])
        assert told.exit_code == 2 and f"`{flag}` must not be a file that is read" in " ".join(told.output.split())
    told = RUN.invoke(app, [*asked, "--out", str(tmp_path / "o.jsonl")])
    assert "got 'x' for row 'r2' (1 in all)" in " ".join(told.output.split())
