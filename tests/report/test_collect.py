import dataclasses
import math
from types import SimpleNamespace

import pytest

from unflaw._errors import DataError, RunFolderError
from unflaw.audit import default_checks
from unflaw.data import NO_VERDICT, Finding, Score, open_run
from unflaw.report import collect, to_html, to_markdown
from unflaw.report._words import next_steps


@pytest.fixture(scope="module")
def report(run):
    return collect(run)


def scores(folder, benchmark="instructions.soft", **levels):
    """One benchmark of ten items at these levels."""
    made = [Score(benchmark, m, v, v - 0.01, v + 0.01, 10, unit="share") for m, v in levels.items()]
    with open_run(folder, command="evaluate", settings={}) as run:
        run.add_scores(made)
    return folder


def compare(folder, a, b, low, high):
    pair = {"benchmark": "instructions.soft", "model_a": a, "model_b": b, "difference": (low + high) / 2}
    with open_run(folder, command="evaluate", settings={}) as run:
        run.add_comparisons([{**pair, "low": low, "high": high, "n": 10, "gained": [], "lost": []}])


def test_what_only_describes_has_no_badge_that_says_ok(tmp_path, make_run, make_findings):
    found = [dataclasses.replace(f, verdict="ok", threshold=f"{NO_VERDICT}it describes") for f in make_findings(["a"])]
    report = collect(make_run(tmp_path / "r", n_rows=1, findings=found))
    assert {f["verdict"] for f in report["findings"]} == {"none"}


def test_the_verdict_counts_the_checks(report):
    assert report["verdict"]["level"] == "fail"
    assert report["verdict"]["sentence"] == "The synthetic rows are flawed: 2 of 4 checks fail, 1 warns."
    assert "Most rows follow one template" in report["verdict"]["basis"]


def test_the_worst_findings_come_first(report):
    assert [f["verdict"] for f in report["findings"]] == ["fail", "fail", "warn", "ok"]


@pytest.mark.parametrize(
    ("verdicts", "level", "start"),
    [("ok ok", "ok", "No flaw found: all 2"), ("ok", "ok", "No flaw found."), ("warn ok", "warn", "Look before")],
)
def test_the_level_is_that_of_the_worst_check(tmp_path, make_run, make_findings, verdicts, level, start):
    found = make_findings(["a"])[: len(verdicts.split())]
    found = [dataclasses.replace(f, verdict=v) for f, v in zip(found, verdicts.split(), strict=True)]
    verdict = collect(make_run(tmp_path / "r", n_rows=1, findings=found))["verdict"]
    assert verdict["level"] == level
    assert verdict["sentence"].startswith(start)


def test_worst_rows_are_the_highest_scores_and_the_rest_is_counted(report):
    worst = report["findings"][0]["worst"]
    shown = [float(r["score"]) for r in worst["rows"]]
    assert shown == sorted(shown, reverse=True)
    assert (len(shown), worst["left_out"], worst["n_scored"]) == (100, 140, 240)
    assert worst["words"].startswith("The 100 worst of 240 scored rows")
    assert [name for name, _ in worst["rows"][0]["cells"]] == ["question", "answer"]


def test_a_row_without_text_still_shows_its_id(tmp_path, make_run, make_findings):
    folder = make_run(tmp_path / "r", n_rows=3, findings=make_findings(["not-in-the-file"]))
    (row,) = collect(folder)["findings"][0]["worst"]["rows"]
    assert (row["id"], row["cells"]) == ("not-in-the-file", [])


def test_scores_that_are_no_number_are_not_called_worst(tmp_path, make_run, make_findings):
    found = dataclasses.replace(make_findings(["a", "b"])[0], row_scores={"a": math.nan, "b": 0.1})
    (row,) = collect(make_run(tmp_path / "r", n_rows=1, findings=[found]))["findings"][0]["worst"]["rows"]
    assert row["id"] == "b"


def test_repair_is_told_in_points(tmp_path):
    folder = scores(tmp_path / "r", untouched=0.55, damaged=0.26, repaired=0.48)
    compare(folder, "untouched", "damaged", -0.4, -0.2)
    compare(folder, "damaged", "repaired", 0.1, 0.3)
    verdict = collect(folder)["verdict"]
    assert verdict["sentence"] == "Repair recovered 22.0 of 29.0 lost points of instruction following."
    assert verdict["level"] == "ok"


def test_a_gain_within_noise_is_said_to_be_noise(tmp_path):
    folder = scores(tmp_path / "r", untouched=0.55, damaged=0.26, repaired=0.30)
    compare(folder, "damaged", "repaired", -0.02, 0.1)
    verdict = collect(folder)["verdict"]
    assert verdict["sentence"].endswith("which is within noise.")
    assert verdict["level"] == "warn"


def test_a_loss_within_noise_leaves_nothing_to_recover(tmp_path):
    folder = scores(tmp_path / "r", untouched=0.55, damaged=0.53, repaired=0.56)
    compare(folder, "untouched", "damaged", -0.06, 0.02)
    assert "nothing to recover" in collect(folder)["verdict"]["sentence"]


def test_a_repair_that_harms_fails(tmp_path):
    verdict = collect(scores(tmp_path / "r", untouched=0.55, damaged=0.26, repaired=0.14))["verdict"]
    assert verdict["level"] == "fail"
    assert "none of the 29.0 lost points" in verdict["sentence"]
    assert "cost 12.0 more" in verdict["sentence"]


def test_without_all_three_models_nothing_is_said_about_repair(tmp_path):
    report = collect(scores(tmp_path / "r", untouched=0.55, repaired=0.26))
    assert report["models"]["repair"] is None
    assert report["verdict"]["level"] == "none"


def test_lower_is_better_turns_the_words_round(report):
    words = {(p["benchmark"], p["after"], p["before"]): p["words"] for p in report["models"]["pairs"]}
    assert words["Log-perplexity of real text", "damaged", "untouched"] == "worse"
    assert words["Log-perplexity of real text", "repaired", "damaged"] == "better"
    assert words["Log-perplexity of real text", "repaired", "replay only"] == "within noise"
    assert words["Instruction following: constraints met", "damaged", "untouched"] == "worse"


def test_outputs_that_changed_come_first_and_template_words_are_marked(report):
    cases = report["outputs"]["cases"]
    assert len(cases) == 6
    assert cases[0]["prompt"].startswith("Write")
    damaged = next(a for a in cases[0]["answers"] if a["model"] == "damaged")
    assert [p for p, marked in damaged["pieces"] if marked] == ["Answer:", "Explanation:", "Summary:"]


def test_stock_phrases_are_no_template(tmp_path, make_findings):
    (found,) = [
        dataclasses.replace(f, check="diversity.phrases", evidence={"phrases": [{"phrase": "in the end it"}]})
        for f in make_findings(["a"])[:1]
    ]
    with open_run(tmp_path, command="audit", settings={}) as run:
        run.add_findings([found])
    assert collect(tmp_path)["mask"] is None


def test_the_mask_shows_only_answers(report):
    assert len(report["mask"]["rows"]) == 5
    assert all(row[0] == ("Answer:", True) for row in report["mask"]["rows"])


def test_where_a_repair_told_what_it_forgot_the_mask_is_that(tmp_path):
    with open_run(tmp_path, command="repair", settings={}) as run:
        run.add_curve("repaired", [{"step": 1, "forget": 2.0}], (), [[("Answer:", True), (" Rome", False)]])
    assert collect(tmp_path)["mask"]["rows"] == [[("Answer:", True), (" Rome", False)]]


def test_lift_tells_of_the_repair_where_it_was_measured(tmp_path):
    scores(tmp_path, untouched=0.5, damaged=0.5, repaired=0.5)
    scores(tmp_path, "instructions.lift", untouched=0.3, damaged=0.0, repaired=0.2)
    assert "20.0 of 30.0 lost points" in collect(tmp_path)["models"]["repair"]["words"]


def test_what_plain_replay_gives_back_stands_beside_the_repair(tmp_path):
    scores(tmp_path, untouched=0.5, damaged=0.2, repaired=0.4, replay_only=0.45)
    repair = collect(tmp_path)["models"]["repair"]
    assert repair["words"].endswith("Repair recovered 20.0 of 30.0 lost points of instruction following. "
                                    "Replay alone gave back 25.0.")  # fmt: skip
    assert [line["name"] for line in repair["strip"]] == ["untouched", "damaged", "repaired", "replay_only"]


def test_next_steps_name_the_run_its_rows_and_its_models(tmp_path):
    rows = tmp_path / "synthetic.jsonl"
    rows.write_text("{}")
    with open_run(tmp_path / "run", command="audit", settings={}, inputs=[rows]) as run:
        run.add_findings([Finding("gap.c2st_auc", "Far", 0.9, 0.8, 0.95, "lower", "fail", "fail above 0.8", "Far.")])
    with open_run(tmp_path / "run", command="train", settings={}) as run:
        run.add_curve("mine", [{"step": 1, "loss": 2.0}])
    scores(tmp_path / "run", mine=0.5)
    commands = " ".join(step["command"] for step in collect(tmp_path / "run")["next"])
    assert f"unflaw repair {tmp_path}/run/models/mine --forget {rows} --replay GOOD.jsonl" in commands


@pytest.mark.parametrize(
    ("check", "command"),
    [
        ("weights.spread", "unflaw train minilm {run}/weighed.jsonl --arms all --real REAL.jsonl"),
        ("weights.quality", "unflaw train minilm {run}/weighed.jsonl --arms plain,quality,dimp,filter,real --real"),
        ("difficulty.told", "unflaw evaluate CLASSIFIER --labels hard.jsonl"),
    ],
)
def test_a_run_that_only_weighed_or_graded_is_told_what_to_try(tmp_path, check, command):
    """No model that writes was trained on these rows, and nothing here stands beside real rows."""
    with open_run(tmp_path, command="curate", settings={}) as run:
        run.add_findings([Finding(check, "Told", 0.9, 0.8, 0.95, "higher", "ok", "none", "Told.")])
    (tmp_path / "weighed.jsonl").write_text("{}")
    (step,) = collect(tmp_path)["next"]
    assert step["command"].startswith(command.format(run=tmp_path))
    assert "real vs real" not in f"{to_html(collect(tmp_path))}{to_markdown(collect(tmp_path))}".lower()


@pytest.mark.parametrize(
    ("kind", "advised"),
    [
        ("harm", ["Ask for fewer", "Look at the", "Ask for the"]),
        ("none", ["Ask for fewer", "Ask for the", "Bring the rows"]),
    ],
)
def test_advice_on_what_does_harm_of_its_own_comes_first(monkeypatch, kind, advised):
    """There is room for four: what stands beside the worst must not crowd out the second worst, nor be crowded out."""
    groups = [("harm", ["diversity.vendi", "mix.endings", "gap.mmd2"]), (kind, ["labels.conflicts", "copies.inside"])]
    harms = [
        [SimpleNamespace(finding=Finding(n, "T", 0.9, 0.8, 1.0, "lower", "fail", "rule", "E."), kind=of) for n in names]
        for of, names in groups
    ]
    monkeypatch.setattr("unflaw.report._words.mend_first", lambda _: harms)
    steps = next_steps([harm.finding for group in harms for harm in group], None, {"run": "runs/a"})[1:]
    assert [" ".join(step["words"].split()[:3]) for step in steps] == advised


def test_checks_that_concluded_nothing_are_named(tmp_path, make_findings):
    """Asked of one check alone, "all passed" would say more than is known."""
    (found,) = [dataclasses.replace(f, check="copies.inside", verdict="ok") for f in make_findings(["a"])[:1]]
    with open_run(tmp_path, command="audit", settings={"checks": ["gap", "copies"]}) as run:
        run.add_findings([found])
    assert collect(tmp_path)["verdict"]["basis"] == "No answer, for want of input or of rows: gap."


def test_commands_survive_a_path_with_spaces_and_come_first(tmp_path, make_findings):
    found = [
        dataclasses.replace(f, check=f"{kind}.x", verdict="fail")
        for kind in ("gap", "tokens", "copies", "perplexity") for f in make_findings(["a"])[:1]
    ]  # fmt: skip
    with open_run(tmp_path / "my run", command="audit", settings={"rows": "hub:me/mine", "checks": []}) as run:
        run.add_findings(found)
    first, *others = collect(tmp_path / "my run")["next"]
    assert first["command"] == f"unflaw evaluate BEFORE AFTER --run '{tmp_path}/my run'"
    assert len(others) == 3 and not any(step["command"] for step in others)


def test_what_is_said_of_a_grading_is_no_flaw_to_mend_and_names_its_rows(tmp_path, make_findings):
    made = make_findings(["a"])[0]
    of = {
        "difficulty.labels": "graded",
        "weights.checker": "real",
        "weights.quality": "synthetic",
        "gap.x": "synthetic",
    }
    found = [dataclasses.replace(made, check=check, verdict="warn", control=None) for check in of]
    with open_run(tmp_path, command="audit", settings={}) as run:
        run.add_findings(found)
    told = collect(tmp_path)
    assert len(told["first"]["items"]) == 1 and "1 of 1 check warns" in told["verdict"]["sentence"]
    assert {f["check"]: f["about"] for f in told["findings"]} == of
    assert {f["check"]: f["strip"][0]["name"] for f in told["findings"]} == of
    assert {f["check"] for f in told["findings"] if f["control_words"]} == {"gap.x"}


def test_rows_harder_to_predict_get_their_own_advice(tmp_path, make_findings):
    (found,) = [
        dataclasses.replace(f, check="perplexity.shift", verdict="warn", value=0.8) for f in make_findings(["a"])[:1]
    ]
    with open_run(tmp_path, command="audit", settings={}) as run:
        run.add_findings([found])
    assert any("hardest to predict" in step["words"] for step in collect(tmp_path)["next"])


def test_curves_have_the_three_terms_and_the_guard_in_perplexity(report):
    (repair,) = report["curves"]
    titles = [p["title"] for p in repair["plots"]]
    assert titles == ["Forgetting term L_fgt", "Replay term L_rpy", "Staying close, L_mtn", "Guard: held-out real text"]
    assert repair["plots"][-1]["series"][0]["y"][0] == pytest.approx(math.exp(3.32))
    assert repair["notes"] == ["Kept the weights of step 20 of 30.", "Guard perplexity did not improve for 2 checks."]


def test_rejected_rows_are_counted_by_reason(report):
    assert report["rejected"]["n"] == 5
    assert [(r["reason"], r["n"]) for r in report["rejected"]["reasons"]] == [
        ("not JSON", 4),
        ("no response", 1),
    ]


def test_rows_taken_out_are_counted_by_reason(report):
    assert report["removed"]["n"] == 2
    assert "(worst 0.1)" in report["removed"]["words"]
    assert report["removed"]["reasons"] == [("refuses", 2), ("shouts", 1)]


def test_what_changed_since_an_earlier_version_is_told(report):
    assert report["changes"]["words"].startswith("1,200 rows were added, 3 removed, 237 kept.")
    worse, gone = report["changes"]["rows"]
    assert (worse["check"], worse["turn"], worse["now"]) == (
        "gap.c2st_auc",
        "worse",
        {"value": "0.941", "verdict": "fail"},
    )
    assert (gone["turn"], gone["now"]) == ("gone", {"value": "–", "verdict": None})
    assert report["changes"]["same"] == ["copies.holdout"]


def test_a_broken_line_of_rejected_rows_is_counted_too(tmp_path):
    open_run(tmp_path, command="audit", settings={}).finish()
    (tmp_path / "rejected.jsonl").write_text('{"reason": "empty"}\n{"reas\n\n[1]\n')
    assert collect(tmp_path)["rejected"]["n"] == 3


def test_settings_hashes_and_seeds_are_all_there(report):
    audit = report["steps"][0]
    assert [s["name"] for s in report["steps"]] == ["audit", "curate filter", "repair", "evaluate"]
    assert {("seeds.seed", "0"), ("status", "finished")} <= set(audit["facts"])
    assert {"started", "finished", "seconds", "peak_memory_mib"} <= {name for name, _ in audit["facts"]}
    assert ("encoder", "potion") in audit["settings"]
    assert {"python", "unflaw", "numpy"} <= {name for name, _ in report["facts"]}


def test_input_hashes_are_told(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}")
    folder = scores(tmp_path / "r", untouched=0.5)
    open_run(folder, command="audit", settings={}, inputs=[tmp_path / "rows.jsonl"]).finish()
    ((name, digest),) = [fact for fact in collect(folder)["steps"][1]["facts"] if fact[0].startswith("inputs.")]
    assert name.endswith("rows.jsonl")
    assert len(digest) >= 64


def test_no_folder_and_an_empty_one_are_refused(tmp_path):
    with pytest.raises(RunFolderError, match="no run folder"):
        collect(tmp_path / "nowhere")
    open_run(tmp_path, command="audit", settings={}).finish()
    with pytest.raises(RunFolderError, match="nothing to report"):
        collect(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("findings.json", '[{"check"', "not readable JSON"),
        ("findings.json", '[{"check": "x"}]', "something else than findings"),
        ("scores.json", "[3]", "something else than scores"),
        ("scores.json", "\udcff", "not readable JSON"),
        ("rows.parquet", "PAR1", "no readable Parquet"),
    ],
)
def test_a_broken_file_is_named(tmp_path, make_run, name, content, says):
    folder = make_run(tmp_path / "r", n_rows=5)
    (folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=says) as error:
        collect(folder)
    assert name in str(error.value)


@pytest.mark.parametrize("check", [check.name for check in default_checks()])
def test_every_check_that_fails_comes_with_something_to_do(tmp_path, make_findings, check):
    (found,) = [dataclasses.replace(f, check=f"{check}.x", verdict="fail") for f in make_findings(["a"])[:1]]
    with open_run(tmp_path, command="audit", settings={}) as run:
        run.add_findings([found])
    assert len(collect(tmp_path)["next"]) == 2, "what to do about it, and to measure the model"


def told(folder, pair, **models):
    """Classifiers with these macro-F1s, and how the last compares with the first."""
    names, settings = list(models), {"labels": ["bad", "good"]}
    with open_run(folder, command="evaluate", settings={}) as run:
        run.add_scores([
            Score("labels.macro_f1", m, v, v - 0.01, v + 0.01, 10, unit="F1", settings=settings)
            for m, v in models.items()
        ])  # fmt: skip
        one = {
            "benchmark": "labels.macro_f1",
            "model_a": names[0],
            "model_b": names[-1],
            "n": 10,
            "gained": [],
            "lost": [],
        }
        run.add_comparisons([{**one, "difference": sum(pair) / 2, "low": pair[0], "high": pair[1]}])
    return collect(folder)


def test_the_best_classifier_is_named_where_it_is_clearly_better(tmp_path):
    clear = told(tmp_path / "a", (0.05, 0.15), plain=0.6, filter=0.65, imp=0.7)["next"]
    assert (
        clear[0]["words"].startswith("Use imp: it has a macro-F1 of 0.7")
        and "[0.05, 0.15] more than plain" in clear[0]["words"]
    )
    noise = told(tmp_path / "b", (-0.05, 0.15), plain=0.6, imp=0.65)["next"]
    assert noise[0]["words"].startswith("No classifier is clearly better than plain")
    first = told(tmp_path / "c", (-0.2, -0.1), plain=0.6, imp=0.45)["next"]
    assert first[0]["words"].startswith("Use plain, with a macro-F1 of 0.6: no other")
    chance = told(tmp_path / "d", (-0.2, -0.1), plain=0.505, imp=0.45)["next"]
    assert chance[0]["words"].startswith("Use no classifier yet")


def test_what_was_only_described_is_not_called_without_flaw(tmp_path):
    described = Finding("subjectivity.accuracy", "T", 0.2, 0.1, 0.3, "lower", "ok", f"{NO_VERDICT}it tells", "E.")
    failed = Finding("weights.checker", "The checker", 0.5, 0.4, 0.6, "higher", "fail", "fail below", "E.")
    with open_run(tmp_path, command="evaluate", settings={}) as run:
        run.add_findings([described, failed])
    said = collect(tmp_path)
    assert (said["verdict"]["level"], said["verdict"]["sentence"]) == ("none", "Nothing was judged.")
    assert said["verdict"]["basis"].startswith("1 check describes the rows and judges nothing. Not to be relied on: T")
    assert not any("unflaw train" in step["command"] for step in said["next"])
