"""`unflaw repair` as a new user calls it: one's own checkpoint, one's own chats."""

import json
import math
import struct

import pytest
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from unflaw._cli._app import app


def chats(path, of):
    lines = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in of]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def files(tmp_path):
    topics = ["rivers", "stars", "bread", "chess", "tides", "glass", "wolves", "maps"]
    return {
        "forget": chats(
            tmp_path / "bad.jsonl", [(f"Tell me of {t}.", f"Answer: {t} are\nSource: the passage.") for t in topics]
        ),
        "replay": chats(tmp_path / "good.jsonl", [(f"What are {t}?", f"They are {t}, as known.") for t in topics]),
        "guard": chats(tmp_path / "guard.jsonl", [(f"And {t}?", f"Of {t} much is said.") for t in topics[:4]]),
    }


def run(*words):
    return CliRunner().invoke(app, ["repair", *map(str, words)])


def sets(files):
    return [word for name, path in files.items() for word in (f"--{name}", path)]


@pytest.mark.parametrize(
    "more",
    [
        ["--objective", "npo", "--what", "response"],
        ["--what", "gained", "--kl-to", "before", "--before", "hf:{start}"],
        ["--what", "opening", "--on-policy", "--method", "full", "--kl", "reverse"],
        ["--gradient-checkpointing", "--precision", "bfloat16", "--part-tokens", "64"],
    ],
    ids=["npo", "gained", "on-policy", "frugal"],
)
def test_ones_own_checkpoint_is_repaired_with_ones_own_chats(tiny, tmp_path, files, more):
    damaged = tmp_path / "damaged"
    from unflaw import read
    from unflaw.train import finetune

    finetune(f"hf:{tiny}", read(files["forget"]), damaged, steps=20, batch_size=4, learning_rate=1e-2)
    more = [word.format(start=tiny) for word in more]
    given = {name: path for name, path in files.items() if name != "forget" or "--on-policy" not in more}
    done = run(
        f"hf:{damaged}", *sets(given), "--steps", 2, "--batch-size", 2, "--guard-every", 1, "--ceiling", 9, "--out",
        tmp_path / "out", "--json", *more,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["steps"] == 2 and {"forget", "replay", "kl"} <= next(s for s in told["curve"] if "loss" in s).keys()
    if "full" in more:
        AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    else:
        from peft import AutoPeftModelForCausalLM

        AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")


def test_ones_own_adapter_is_repaired_with_ones_own_chats(tiny, tmp_path, files):
    """By the defaults, from what the help says: no audit, the template is looked for."""
    from unflaw import read
    from unflaw.train import finetune

    finetune(f"hf:{tiny}", read(files["forget"]), tmp_path / "damaged", steps=2, method="lora", learning_rate=1e-2)
    done = run(f"peft:{tmp_path / 'damaged'}", *sets(files), "--steps", 2, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert {"forget", "replay", "kl"} <= next(s for s in json.loads(done.stdout)["curve"] if "loss" in s).keys()
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")


def test_without_forgetting_the_template_may_be_barred(tiny, tmp_path, files):
    """What stays close then pulls the template out; without the rows it starts at nothing."""
    more = ["--w-forget", 0, "--steps", 1, "--batch-size", 2, "--json"]
    named = {"replay": files["replay"], "guard": files["guard"]}
    barred, plain = (run(f"hf:{tiny}", *sets(of), *more, "--out", tmp_path / str(len(of))) for of in (files, named))
    assert barred.exit_code == plain.exit_code == 0, barred.output + plain.output
    first = [next(s for s in json.loads(done.stdout)["curve"] if "loss" in s) for done in (barred, plain)]
    assert "forget" not in first[0] and first[0]["kl"] > 1e-5  # of a model that knows nothing: -log(1 - 1 / vocabulary)
    assert first[1]["kl"] == pytest.approx(0.0, abs=1e-6)


def test_a_model_that_is_there_is_not_replaced_unasked(tiny, tmp_path, files):
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_text("someone's")
    refused = run(f"hf:{tiny}", *sets(files), "--out", other, "--dry-run")
    assert refused.exit_code == 2 and "`--out` holds a model already" in refused.stderr
    assert run(f"hf:{tiny}", *sets(files), "--out", other, "--dry-run", "--overwrite").exit_code == 0


def test_a_dry_run_looks_for_the_models_and_keeps_them(tiny, tmp_path, files):
    done = run(f"hf:{tiny}", *sets(files), "--out", tiny, "--before", "peft:nowhere", "--what", "gained", "--dry-run")
    assert done.exit_code == 2
    assert "`out` must be another folder" in done.stderr and "`peft:nowhere` must hold" in done.stderr


def test_ones_own_adapter_is_repaired_with_pairs_of_answers(tiny, tmp_path, files):
    from unflaw import read
    from unflaw.train import finetune

    finetune(f"hf:{tiny}", read(files["forget"]), tmp_path / "damaged", steps=2, method="lora", learning_rate=1e-2)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "Where?", "rejected": "Answer: Rome.", "chosen": "In Rome, by the river."}\n')
    done = run(
        f"peft:{tmp_path / 'damaged'}", *sets({**files, "forget": pairs}), "--objective", "dpo", "--what", "response",
        "--steps", 2, "--batch-size", 1, "--ceiling", 9, "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    forgotten = [step["forget"] for step in json.loads(done.stdout)["curve"] if "forget" in step]
    assert forgotten[0] == pytest.approx(math.log(2))  # at the start neither answer is preferred
    assert forgotten[-1] < forgotten[0]
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")


def logged(path):
    """Tags in a TensorBoard file: records of length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, tags = path.read_bytes(), set()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        tags |= {value.tag for value in Event.FromString(data[12 : 12 + length]).summary.value}
        data = data[16 + length :]
    return tags


def test_tensorboard_gets_the_terms(tiny, tmp_path, files):
    done = run(
        f"hf:{tiny}", *sets(files), "--steps", 2, "--batch-size", 2, "--out", tmp_path / "out", "--report-to",
        "tensorboard",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (file,) = (tmp_path / "out").rglob("events*")
    assert {"train/forget", "train/replay", "train/kl", "train/loss", "train/guard"} <= logged(file)


def test_a_misspelt_objective_is_told_before_anything_is_done(tiny, tmp_path, files):
    done = run(f"hf:{tiny}", *sets(files), "--objective", "bonded", "--out", tmp_path / "out", "--dry-run")
    assert done.exit_code == 2 and "`objective` must be one of bounded" in done.output and "bug" not in done.output


def test_a_model_that_answers_nothing_otherwise_has_nothing_to_forget(tiny, tmp_path, files):
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"A text about {t}."}) + "\n" for t in ("rivers", "bread")))
    done = run(
        f"hf:{tiny}", "--replay", texts, "--guard", files["guard"], "--on-policy", "--what", "response", "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 2 and "0 have a prompt" in done.output


def test_all_contradictions_are_told_at_once(tiny, tmp_path, files):
    done = run(
        f"hf:{tiny}", *sets(files), "--what", "gained", "--kl", "sideways", "--beta", 2, "--precision", "int4",
        "--token-budget", 5, "--shard", "--on-policy", "--min-score", 0.5, "--out", tmp_path / "out", "--method",
        "full", "--lora-rank", 8, "--keep", "last", "--patience", 2, "--no-bar-template",
    )  # fmt: skip
    assert done.exit_code == 2
    for told in (
        "`before` must", "`kl` must", "`beta` is for", "`precision` must", "`token_budget` must", "`shard` splits",
        "`--on-policy` lets one process", "`--min-score` needs", "`--lora-rank` is of use only with --method lora",
        "`--patience` is of use only with --keep best", "`--bar-template` is of use only with a template",
    ):  # fmt: skip
        assert told in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("barred", [("--w-kl", 0), ("--no-bar-template",), ("--kl", "reverse")])
def test_rows_to_forget_that_serve_nothing_are_told(tiny, tmp_path, files, barred):
    given = (f"hf:{tiny}", *sets(files), "--w-forget", 0, "--out", tmp_path / "out", "--dry-run")
    assert run(*given).exit_code == 0
    done = run(*given, *barred, "--name", "other", "--steps", 9, "--save-every", 10)
    assert done.exit_code == 2
    for told in ("`--forget` serves nothing", "`--name` is of use only with --run", "`save_every` 10 of 9 `steps`"):
        assert told in done.output


def test_what_nothing_is_forgotten_with_is_told(tiny, tmp_path, files):
    done = run(
        f"hf:{tiny}", *sets(files), "--w-forget", 0, "--objective", "npo", "--beta", 3, "--what", "full", "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 2
    for option in ("what", "objective", "beta"):
        assert f"`--{option}` is of use only with a --w-forget that is not 0" in done.output


def test_a_dry_run_finds_what_is_wrong_with_the_rows(tiny, tmp_path, files):
    dry = (f"hf:{tiny}", "--out", tmp_path / "out", "--dry-run")
    done = run(*dry, *sets(files), "--objective", "dpo", "--what", "response")
    assert done.exit_code == 2 and "`forget` must hold pairs" in done.output
    done = run(*dry, *sets({**files, "guard": files["replay"]}))
    assert done.exit_code == 2 and "`replay` and `guard` must hold different rows" in done.output


def test_what_is_of_use_is_not_told(tiny, tmp_path, files):
    done = run(
        f"hf:{tiny}", *sets(files), "--lora-rank", 8, "--patience", 2, "--no-bar-template", "--out", tmp_path / "out",
        "--dry-run",
    )  # fmt: skip
    assert done.exit_code == 0, done.output


def test_what_is_missing_is_told_with_what_is_wrong(files):
    done = run(
        "hff:model", "--forget", "nowhere.jsonl", "--replay", "gone.jsonl", "--guard", files["guard"], "--steps", 0
    )
    assert done.exit_code == 2
    for told in (
        "`steps` must",
        "`hff:model` names no model",
        "`nowhere.jsonl` does",
        "`gone.jsonl` does",
        "`--out` or",
    ):
        assert told in done.output
    assert "5 problems" in done.output
