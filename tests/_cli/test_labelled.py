"""The path of labelled rows on the command line: split, weigh, train, evaluate, grade; and what it refuses."""

import json

import pytest

from labelled import labelled_rows, pair_rows
from labelled_calls import call, refused, weighed
from unflaw._cli._used import refuse_used
from unflaw._errors import DataError
from unflaw.data import RunFolder, open_run, read, write
from unflaw.report import render
from unflaw.train import read_dynamics


def test_rows_are_dealt_out_and_the_parts_told(files):
    parts = {name: read(files / f"{name}.jsonl") for name in ("checker", "validation", "test")}
    assert {name: len(rows) for name, rows in parts.items()} == {"checker": 60, "validation": 40, "test": 80}
    told = call("curate", "split", files / "real.jsonl", "--parts", "a=0.5,b=10", "--out", files / "more", "--json")
    payload = json.loads(told.stdout)
    assert payload["parts"]["a"]["by"] == {"bad": 50, "good": 50} and payload["left_out"] == 90
    again = refused("curate", "split", files / "real.jsonl", "--parts", "a=0.5", "--out", files / "more")
    assert "name another folder" in again
    assert "will not do" in refused("curate", "split", files / "real.jsonl", "--parts", "a:0.5", "--out", files / "x")
    call("curate", "split", files / "real.jsonl", "--parts", "a=0.5", "--out", files / "dry", "--dry-run")
    none = refused("curate", "split", files / "real.jsonl", "--parts", "a=0.001,b=0.5", "--out", files / "dry")
    assert "got none for ['a'] of 200 rows" in none
    assert not (files / "dry").exists()


def test_weights_are_written_and_reported(files):
    run = weighed(files, "--wrong", "wrong")
    rows = read(run / "weighed.jsonl")
    wrong = rows.column("wrong")
    mean = {
        flag: sum(w for w, v in zip(rows.column("weight"), wrong, strict=True) if v == flag) for flag in (True, False)
    }
    assert mean[True] / sum(wrong) < mean[False] / (90 - sum(wrong))
    found = {f.check for f in RunFolder(run).findings()}
    assert found == {"weights.quality", "weights.spread", "weights.truth"}
    page = render(run).read_text()
    assert "Weights against truth" in page and "Labels that real rows speak against" in page


def test_checkers_and_gradings_can_be_trained_in_bfloat16(files, tiny_encoder):
    rows, real = files / "synthetic.jsonl", files / "checker.jsonl"
    weigh = ["curate", "weigh", rows, "--real", real, "--no-check", "--method", "dimp", "--precision"]
    call(*weigh, "bfloat16", "--checker", f"hf:{tiny_encoder}", "--run", files / "r")
    assert RunFolder(files / "r").manifest["steps"][0]["settings"]["precision"] == "bfloat16"
    grade = ["curate", "difficulty", rows, "--model", f"hf:{tiny_encoder}", "--epochs", 2, "--run", files / "r"]
    call(*grade, "--precision", "bfloat16")
    half = read_dynamics(files / "r" / "dynamics" / "full").logits
    call(*grade, "--overwrite")
    assert 0 < abs(half - read_dynamics(files / "r" / "dynamics" / "full").logits).max() < 0.1
    assert "is of use only with a checker that is fine-tuned" in refused(
        *weigh, "bfloat16", "--checker", "probe:potion", "--out", files / "w.jsonl"
    )
    wrong = refused(*weigh, "float16", "--checker", f"hf:{tiny_encoder}", "--out", files / "w.jsonl")
    grade = ["curate", "difficulty", rows, "--out", files / "d.jsonl", "--precision", "float16"]
    for told in (wrong, refused(*grade, "--model", f"hf:{tiny_encoder}")):
        assert "`precision` must be float32 or bfloat16, got 'float16'" in told


def test_weights_can_be_for_the_trainer_to_divide(files):
    run = weighed(files, "--method", "dimp")
    names = read(run / "weighed.jsonl").table.column_names
    assert "unflaw.quality" in names and "weight" not in names


def test_the_whole_path_ends_in_a_paired_comparison(files, tiny_encoder):
    run = weighed(files)
    how = ["--validation", files / "validation.jsonl", "--run", run, "--epochs", 6, "--batch-size", 16,
           "--learning-rate", 3e-3]  # fmt: skip
    plain = call("train", f"hf:{tiny_encoder}", files / "synthetic.jsonl", *how, "--name", "plain")
    assert "← kept" in plain.stdout
    told = call(
        "train", f"hf:{tiny_encoder}", run / "weighed.jsonl", *how, "--objective", "dimp", "--name", "dimp", "--json"
    )
    assert json.loads(told.stdout)["labels"] == ["bad", "good"]
    models = [run / "models" / name for name in ("plain", "dimp")]
    shown = call("evaluate", *models, "--labels", files / "test.jsonl", "--run", run)
    assert "labels.macro_f1" in shown.stdout and "better" in shown.stdout
    folder = RunFolder(run)
    assert {s.benchmark for s in folder.scores()} == {"labels.accuracy", "labels.macro_f1"}
    assert len(folder.comparisons()) == 2 and set(folder.curves()) == {"plain", "dimp"}
    assert "Labels told: macro-F1" in render(run).read_text()


def test_no_row_serves_two_ends(files, tiny_encoder):
    run = weighed(files)
    model, how = f"hf:{tiny_encoder}", ["--run", run, "--steps", 1]
    chosen = refused("train", model, files / "synthetic.jsonl", "--validation", files / "checker.jsonl", *how)
    assert "`real of unflaw curate weigh` and `validation` share 60 texts" in str(chosen)
    call("train", model, files / "synthetic.jsonl", "--validation", files / "validation.jsonl", *how, "--name", "a")
    for part, end in (("checker", "real of unflaw curate weigh"), ("validation", "validation of unflaw train a"),
                      ("synthetic", "rows of unflaw train a")):  # fmt: skip
        measured = refused("evaluate", run / "models" / "a", "--labels", files / f"{part}.jsonl", "--run", run)
        assert f"`{end}` and `labels` share" in measured
    learnt = refused("train", model, files / "validation.jsonl", *how, "--name", "b")
    assert "`validation of unflaw train a` and `rows` share 40 texts" in learnt
    outside = refused("evaluate", run / "models" / "a", "--labels", files / "validation.jsonl")  # where it lies tells
    assert "`validation of unflaw train a` and `labels` share" in outside
    other = ["--run", files / "other", "--steps", 1]
    rows_of_it = refused("train", model, run / "weighed.jsonl", "--validation", files / "checker.jsonl", *other)
    assert "`real of unflaw curate weigh` and `validation` share 60 texts" in rows_of_it
    call("evaluate", run / "models" / "a", "--labels", files / "checker.jsonl", "--run", run, "--allow-shared")
    call("evaluate", run / "models" / "a", "--labels", files / "test.jsonl", "--run", run, "--overwrite")
    tested = refused("train", model, files / "test.jsonl", *how, "--name", "c")
    assert "`labels of unflaw evaluate` and `rows` share" in tested


def test_rows_that_a_writer_was_shown_are_no_test(files):
    run, shown = files / "run", str(files / "checker.jsonl")
    for n, shots in enumerate((0, 2)):
        settings = {"examples": shown, "shots": shots}
        with open_run(run, settings=settings, command="generate text", inputs=[shown], overwrite=n > 0):
            pass
        if not shots:  # nobody was shown any
            refuse_used([run], False, labels=read(shown))
    with pytest.raises(DataError, match="`examples of unflaw generate text` and `labels` share 60 texts"):
        refuse_used([run], False, labels=read(files / "checker.jsonl"))
    refuse_used([run], False, labels=read(files / "test.jsonl"), real=read(files / "checker.jsonl"))


def test_a_file_that_has_changed_is_said_to_go_unseen(files, tiny_encoder):
    run = weighed(files)
    write(labelled_rows(10, seed=9), files / "checker.jsonl")
    told = call("train", f"hf:{tiny_encoder}", files / "synthetic.jsonl", "--run", run, "--steps", 1)
    assert "has changed or gone" not in told.output  # training on rows conflicts with validation rows alone
    told = call("train", f"hf:{tiny_encoder}", files / "synthetic.jsonl", "--run", run, "--steps", 1, "--name", "b",
                "--validation", files / "validation.jsonl")  # fmt: skip
    assert "has changed or gone" in told.output


def test_earlier_files_are_found_from_another_directory(files, tiny_encoder, monkeypatch):
    monkeypatch.chdir(files)
    run = files / "run"
    call("curate", "weigh", "synthetic.jsonl", "--real", "checker.jsonl", "--checker", "probe:potion", "--no-check",
         "--run", run)  # fmt: skip
    (files / "elsewhere").mkdir()
    monkeypatch.chdir(files / "elsewhere")
    chosen = refused("train", f"hf:{tiny_encoder}", files / "synthetic.jsonl", "--validation", files / "checker.jsonl",
                     "--run", run, "--steps", 1)  # fmt: skip
    assert "`real of unflaw curate weigh` and `validation` share 60 texts" in chosen
    moved = files.parent / "moved"
    files.rename(moved)
    monkeypatch.chdir(moved)
    assert "share 60 texts" in refused("train", f"hf:{tiny_encoder}", "synthetic.jsonl", "--validation",
                                       "checker.jsonl", "--run", "run", "--steps", 1)  # fmt: skip


@pytest.mark.parametrize("verb", ["split", "weigh", "difficulty", "train", "arms", "evaluate"])
def test_lines_that_are_no_rows_are_in_what_a_machine_reads(files, tiny_encoder, verb):
    path, model = files / "synthetic.jsonl", f"hf:{tiny_encoder}"
    path.write_text(path.read_text() + '{"text": "cut of')
    checker, out = ["--real", files / "checker.jsonl"], ["--out", files / "out"]
    how = [model, path, "--steps", 1, *out, "--validation", files / "validation.jsonl"]
    words = {
        "split": ["curate", "split", path, "--parts", "a=0.5", *out],
        "weigh": ["curate", "weigh", path, *checker, "--checker", "probe:potion", "--no-check", "--out",
                  files / "w.jsonl"],
        "difficulty": ["curate", "difficulty", path, "--model", model, "--epochs", 2, "--out", files / "d.jsonl"],
        "train": ["train", *how],
        "arms": ["train", *how, "--arms", "plain", *checker],
        "evaluate": ["evaluate", model, "--labels", path],
    }  # fmt: skip
    if verb == "evaluate":
        call("train", *how, "--on-truncated", "keep")
        words["evaluate"][1] = files / "out"
    told = json.loads(call(*words[verb], "--on-truncated", "keep", "--json").stdout)
    (rejected,) = told["rejected"].values()
    assert rejected["lines"] == 1 and rejected["first"][0]["line"] == 91


def test_weights_are_learnt_at_the_rate_that_is_asked_for(files, tiny_encoder):
    how = ["train", f"hf:{tiny_encoder}", files / "synthetic.jsonl", "--steps", 2, "--out", files / "m", "--json"]
    meta = ["--objective", "hu", "--meta", files / "checker.jsonl"]
    slow, fast = (
        json.loads(call(*how, *meta, "--meta-rate", rate, "--overwrite").stdout)["curve"][1]["loss"]
        for rate in (1e-9, 5)
    )
    assert abs(slow - fast) > 1e-4
    assert "`--meta-rate` is of use only with hu or sungen" in refused(*how, "--meta-rate", 1, "--overwrite")


def test_options_stand_with_those_they_go_with():
    told = call("train", "--help").stdout
    general, writers, classifiers = told.partition("Options of a language model:")[0], *told.split("Options of a ")[1:]
    assert "--epochs" in general and "--lora-rank" in writers and "--meta-rate" in classifiers
    assert told.count("--meta-rate") == told.count("--lora-rank ") == 1


def test_a_classifier_has_no_use_for_a_language_models_options(files, tiny_encoder):
    wrong = refused("train", f"hf:{tiny_encoder}", files / "synthetic.jsonl", "--out", files / "m", "--method", "full",
                    "--target", "full", "--gamma", 2)  # fmt: skip
    assert "3 problems" in wrong and all(f"`--{name}` is of use" in wrong for name in ("method", "target", "gamma"))
    causal = refused(
        "train", "smollm2", files / "synthetic.jsonl", "--out", files / "m", "--objective", "dimp", "--dynamics"
    )
    assert "2 problems" in causal and "`--objective` is of use only with a classifier" in causal
    tasks = refused("train", "smollm2", files / "synthetic.jsonl", "--out", files / "m", "--task", "clasify")
    assert "`--task` must be auto, causal or classifier" in tasks


def test_a_dry_run_trains_nothing(files, tiny_encoder):
    told = call("train", f"hf:{tiny_encoder}", files / "synthetic.jsonl", "--out", files / "m", "--dry-run")
    assert "as a classifier on 90 rows" in told.stdout and not (files / "m").exists()


def test_rows_alone_are_learnt_by_minilm(files):
    told = call(
        "train",
        files / "synthetic.jsonl",
        "--validation",
        files / "validation.jsonl",
        "--out",
        files / "m",
        "--dry-run",
    )
    assert "would train minilm as a classifier" in told.stdout
    assert "`FILE` must name rows, got a model alone" in refused("train", "smollm2", "--out", files / "m")


def test_classifiers_are_measured_by_labels_alone(files, tiny_encoder):
    wrong = refused("evaluate", "smollm2", "--labels", files / "test.jsonl", "--qa", files / "test.jsonl", "--n", 50)
    assert "2 problems" in wrong and "`--n` is of use only with models that write" in wrong


def test_rows_are_graded_split_and_kept(tmp_path, tiny_encoder):
    write(pair_rows(80, artefact=0.5), tmp_path / "rows.jsonl")
    run = tmp_path / "run"
    how = ["--model", f"hf:{tiny_encoder}", "--epochs", 4, "--batch-size", 16, "--learning-rate", 3e-3]
    call("curate", "difficulty", tmp_path / "rows.jsonl", *how, "--run", run, "--parts", tmp_path / "parts")
    graded = read(run / "graded.jsonl")
    levels = graded.column("unflaw.difficulty")
    sizes = {level: len(read(tmp_path / "parts" / f"{level}.jsonl")) for level in set(levels)}
    assert sizes == {level: levels.count(level) for level in set(levels)}
    page = render(run).read_text()
    assert "Data map" in page and "Labels told at each level" in page
    recorded = ["--recorded", run / "dynamics" / "full", "--recorded", run / "dynamics" / "hypothesis"]
    views = ["--view", "full", "--view", "hypothesis"]
    out = tmp_path / "kept.jsonl"
    keep = ["--keep", "ambiguous,hard", "--out", out, "--json"]
    told = call("curate", "difficulty", tmp_path / "rows.jsonl", *views, *recorded, *keep)
    payload = json.loads(told.stdout)
    assert payload["files"]["graded"]["rows"] == len(read(out)) == levels.count("ambiguous") + levels.count("hard")
    assert read(out).ids == [i for i, v in zip(graded.ids, levels, strict=True) if v != "easy"]


def test_what_is_wrong_with_a_grading_is_told_at_once(tmp_path):
    write(pair_rows(40), tmp_path / "rows.jsonl")
    how = ["--keep", "heavy", "--recorded", tmp_path, "--epochs", 9]
    told = refused("curate", "difficulty", tmp_path / "rows.jsonl", *how)
    assert "`--keep` knows no 'heavy'" in told and "`--epochs` is of use only with training" in told
    assert "`--out` or `--run` must say" in told


def test_no_file_that_is_read_is_written_over(files):
    own = ["--out", files / "checker.jsonl", "--overwrite"]
    assert "must not be a file that is read" in refused(
        "curate", "weigh", files / "synthetic.jsonl", "--real", files / "checker.jsonl", *own
    )
    parts = ["--parts", "checker=5", "--out", files, "--overwrite"]
    assert "must not be a file that is read" in refused("curate", "split", files / "checker.jsonl", *parts)
    assert len(read(files / "checker.jsonl")) == 60


def test_what_is_wrong_with_a_call_is_told_before_a_run_is_opened(files):
    how = ["--real", files / "checker.jsonl", "--run", files / "run"]
    wrong = refused(
        "curate", "weigh", files / "synthetic.jsonl", *how, "--method", "imps", "--temperature", -1, "--dry-run"
    )
    assert "2 problems" in wrong and not (files / "run").exists()
    told = refused("curate", "split", files / "real.jsonl", "--parts", "a=inf,b=1,b=2", "--out", files / "x")
    assert "'a=inf'" in told and "'b=2'" in told


def test_earlier_files_are_read_as_they_were(files, tiny_encoder):
    rows = [json.loads(line) for line in (files / "synthetic.jsonl").read_text().splitlines()]
    named = files / "named.jsonl"
    named.write_text(
        "\n".join(json.dumps({"review": r["text"], "text": f"x {k}", "kind": r["label"]}) for k, r in enumerate(rows))
    )
    run, columns = files / "run", ["--columns", "text=review,label=kind"]
    call("train", f"hf:{tiny_encoder}", named, *columns, "--run", run, "--steps", 1, "--name", "a")
    told = refused("evaluate", run / "models" / "a", "--labels", files / "synthetic.jsonl", "--run", run)
    assert "`rows of unflaw train a` and `labels` share 90 texts" in told


def test_synthetic_rows_are_not_their_own_truth(files):
    told = refused("curate", "weigh", files / "checker.jsonl", "--real", files / "checker.jsonl", "--checker",
                   "probe:potion", "--out", files / "w.jsonl")  # fmt: skip
    assert "`rows` and `real` share 60 texts" in told


def test_what_comes_next_reads_rows_as_they_were_read(files):
    rows = [{"sentence": t, "klass": v} for t, v in zip(*map(read(files / "synthetic.jsonl").column, ("text", "label")),
                                                        strict=True)]  # fmt: skip
    (files / "named.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = call("curate", "weigh", files / "named.jsonl", "--columns", "text=sentence,label=klass", "--real",
                files / "checker.jsonl", "--checker", "probe:potion", "--no-check", "--out",
                files / "w.jsonl")  # fmt: skip
    assert "w.jsonl --columns text=sentence,label=klass" in " ".join(told.output.split())


def test_a_level_is_not_written_over_by_all_rows(files):
    told = refused(
        "curate", "difficulty", files / "real.jsonl", "--parts", files / "p", "--out", files / "p" / "easy.jsonl"
    )
    assert "`--out` and `--parts` must name different files" in told


@pytest.mark.parametrize(("said", "words"), [
    ("must be 30 at least", "curate difficulty few.jsonl --out g.jsonl"),
    ("share 40 texts", "train minilm real.jsonl --validation validation.jsonl --out m"),
    ("each arm once", "train minilm synthetic.jsonl --arms plain,plain --real checker.jsonl --validation "
     "validation.jsonl --out m"),
    ("at least 8 for a classifier", "train minilm real.jsonl --max-tokens 1 --task classifier --out m"),
    ("nowhere is none", "curate difficulty real.jsonl --recorded nowhere --out g.jsonl"),
    ("have none", "curate difficulty real.jsonl --view premise --out g.jsonl"),
    ("`learning_rate` must be a positive number", "curate difficulty real.jsonl --learning-rate -1 --out g.jsonl"),
    ("`device`", "curate difficulty real.jsonl --device tpu --out g.jsonl"),
    ("real.jsonl is a file", "curate split real.jsonl --parts a=0.5 --out real.jsonl/parts"),
    ("real.jsonl is a file", "curate weigh synthetic.jsonl --real checker.jsonl --out real.jsonl/w.jsonl"),
    ("real.jsonl is a file", "train minilm real.jsonl --out real.jsonl"),
])  # fmt: skip
def test_a_dry_run_refuses_what_the_run_would(files, monkeypatch, said, words):
    monkeypatch.chdir(files)
    write(read("real.jsonl").take(range(16)), "few.jsonl")
    assert said in refused(*words.split(), "--dry-run")


def test_a_model_that_fell_apart_is_said_to(files, tiny_encoder):
    how = ["--steps", 3, "--learning-rate", 1e30, "--batch-size", 16, "--max-tokens", 16]
    told = call("train", f"hf:{tiny_encoder}", files / "synthetic.jsonl", "--validation", files / "validation.jsonl",
                *how, "--out", files / "m")  # fmt: skip
    said = " ".join(told.output.split())
    assert "the model fell apart; lower the learning rate" in said and "not a number" in said


def test_a_classifier_is_not_asked_to_write(files, tiny_encoder):
    call("train", f"hf:{tiny_encoder}", files / "real.jsonl", "--steps", 1, "--out", files / "m")
    told = refused("evaluate", files / "m")
    assert "writes nothing; --labels FILE measures a classifier" in told
    (files / "task.yaml").write_text("task: a\nlabels: [good, bad]\n")
    written = refused("generate", "text", files / "task.yaml", "-n", 2, "--model", files / "m", "--dry-run")
    assert "writes nothing" in written
