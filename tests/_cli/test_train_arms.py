"""`unflaw train --arms`: trained beside each other, with what each of them reads."""

from labelled_calls import call, refused, weighed
from unflaw.data import RunFolder


def test_arms_are_trained_beside_each_other(files, tiny_encoder):
    run = weighed(files)
    how = ["--validation", files / "validation.jsonl", "--run", run, "--steps", 4, "--batch-size", 16]
    arms = ["--arms", "plain,imp,after", "--real", files / "checker.jsonl"]
    told = call("train", f"hf:{tiny_encoder}", run / "weighed.jsonl", *how, *arms)
    assert "synthetic rows, all alike" in told.stdout and "unflaw evaluate" in told.output
    models = [run / "models" / arm for arm in ("plain", "imp", "after")]
    call("evaluate", *models, "--labels", files / "test.jsonl", "--run", run)
    assert set(RunFolder(run).curves()) == {"plain", "imp", "after"}


def test_arms_need_real_rows_and_known_names(files, tiny_encoder):
    run = weighed(files)
    model, how = f"hf:{tiny_encoder}", ["--run", run, "--validation", files / "validation.jsonl"]
    assert "Did you mean 'dimp'" in refused("train", model, run / "weighed.jsonl", *how, "--arms", "dimpp")
    assert "`--arms` needs `--real` FILE" in refused("train", model, run / "weighed.jsonl", *how, "--arms", "dimp")
    assert "of use only with --arms" in refused(
        "train", model, run / "weighed.jsonl", *how, "--real", files / "x.jsonl"
    )


def test_real_rows_that_arms_learnt_from_are_no_test(files, tiny_encoder):
    run = weighed(files)
    other = files / "other"  # where nothing was weighed
    how = ["--validation", files / "validation.jsonl", "--run", other, "--steps", 1]
    arms = ["--arms", "real", "--real", files / "checker.jsonl"]
    call("train", f"hf:{tiny_encoder}", run / "weighed.jsonl", *how, *arms)
    model = other / "models" / "real"
    told = refused("evaluate", model, "--labels", files / "checker.jsonl", "--run", other)
    assert "`real of unflaw train arms` and `labels` share 60 texts" in told
    told = refused("curate", "weigh", files / "synthetic.jsonl", "--real", files / "validation.jsonl", "--run", other)
    assert "`validation of unflaw train arms` and `real` share 40 texts" in told
    again = refused("train", f"hf:{tiny_encoder}", run / "weighed.jsonl", *how, *arms)
    assert "would replace the models" in again
    call("train", f"hf:{tiny_encoder}", run / "weighed.jsonl", *how, *arms, "--resume")


def test_arms_take_the_settings_of_theirs(files, tiny_encoder):
    run, model = weighed(files), f"hf:{tiny_encoder}"
    how = [
        "train",
        model,
        run / "weighed.jsonl",
        "--validation",
        files / "validation.jsonl",
        "--run",
        run,
        "--steps",
        1,
    ]
    own = ["--cap", 3, "--temperature", 2, "--gamma", 2, "--meta-step", 0.5, "--meta-rate", 0.01]
    arms = [*how, "--real", files / "checker.jsonl", "--arms"]
    call(*arms, "dimp, focal, hu, filter", *own, "--threshold", 0.3)
    kept = RunFolder(run).manifest["steps"][-1]["settings"]
    assert (kept["cap"], kept["gamma"], kept["meta_step"], kept["threshold"]) == (3.0, 2.0, 0.5, 0.3)
    assert "`threshold` changes nothing without the arm filter" in refused(*arms, "real", "--threshold", 0.3)
    told = refused(*how, "--name", "one", "--threshold", 0.3, "--meta-step", 0.5)
    assert "`--threshold` is of use only with --arms" in told
    assert "`--meta-step` is of use only with hu or sungen" in told
    assert "`--cap` is of use only with dimp" in refused(*arms, "plain,focal", "--cap", 3)
    too_high = refused(*arms, "filter", "--threshold", 0.99, "--overwrite")  # which reaches the arm
    assert "must leave rows of two labels" in too_high
