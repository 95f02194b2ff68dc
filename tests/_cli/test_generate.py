"""`unflaw generate qa`: rows, shortfall, dry run, run folder, resume."""

import json

import pytest
from typer.testing import CliRunner

import unflaw.models
from unflaw._cli._app import app
from unflaw.data import RunFolder, read

RUN = CliRunner()
PASSAGES = [
    {"text": "Bees dance to tell where food is. A round dance means that the food is near.", "title": "Bees"},
    {"text": "Salt lowers the freezing point of water. Roads are salted in winter.", "title": "Salt"},
]


class Counting:
    """Answers every prompt about its fact; can refuse some, and be interrupted."""

    def __init__(self, stops_after=10**9):
        self.asked, self.stops_after = 0, stops_after

    def generate(self, prompts, sampling, *, seeds=None, on_result=None):
        answers = []
        for i, prompt in enumerate(prompts):
            if self.asked == self.stops_after:
                raise KeyboardInterrupt
            self.asked += 1
            fact = prompt[-1]["content"].rsplit("Fact: ", 1)[1]
            question = "Why?" if "winter" in fact else f"What of {seeds[i] % 1000}?"
            answers.append(json.dumps({"question": question, "answer": fact.split()[0]}))
            on_result(i, answers[-1])
        return answers


@pytest.fixture
def model(monkeypatch):
    model = Counting()
    monkeypatch.setattr(unflaw.models, "open_generator", lambda spec, **settings: model)
    return model


@pytest.fixture
def passages(tmp_path):
    path = tmp_path / "passages.jsonl"
    path.write_text("\n".join(map(json.dumps, PASSAGES)))
    return path


def qa(*words):
    return RUN.invoke(app, ["generate", "qa", *map(str, words)])


def test_rows_are_written_in_the_template(model, passages, tmp_path):
    out = tmp_path / "rows.jsonl"
    result = qa(passages, "-n", 3, "--template", r"A: {answer}\nT: {title}", "--out", out)
    assert result.exit_code == 0, result.output
    rows = read(out)
    assert rows.schema == "question/answer" and len(rows) == 3
    assert set(rows.column("response")) <= {
        "A: Bees\nT: Bees",
        "A: A\nT: Bees",
        "A: Salt\nT: Salt",
        "A: Roads\nT: Salt",
    }
    assert set(rows.column("unflaw.model")) == {"smollm2"}


def test_a_shortfall_is_said_and_refusals_are_kept_with_reasons(model, passages, tmp_path):
    passages.write_text(json.dumps({"text": "Roads are salted in winter."}))
    result = qa(passages, "-n", 3, "--max-retries", 1, "--run", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["rows"], told["asked"], told["shortfall"]) == (1, 3, 2)
    assert told["refused"] == {"duplicate question": 4}
    assert "2 of 3 rows are missing" in result.stderr
    kept = [json.loads(line) for line in (tmp_path / "run" / "rejected.jsonl").read_text().splitlines()]
    assert [(r["line"], r["reason"]) for r in kept] == [
        (2, "duplicate question: attempt 1"), (3, "duplicate question: attempt 1"),
        (2, "duplicate question: attempt 2"), (3, "duplicate question: attempt 2"),
    ]  # fmt: skip


def test_a_stopped_run_goes_on_without_asking_twice(model, passages, tmp_path):
    assert qa(passages, "-n", 8, "--run", tmp_path / "straight").exit_code == 0
    straight, model.asked, model.stops_after = model.asked, 0, 5
    words = [passages, "-n", 8, "--run", tmp_path / "run"]
    stopped = qa(*words)
    assert stopped.exit_code == 130 and "--resume" in stopped.stderr
    assert not (tmp_path / "run" / "synthetic.jsonl").exists()
    model.stops_after, model.asked = 10**9, 0
    assert qa(*words, "--resume").exit_code == 0
    assert model.asked == straight - 5
    both = [(tmp_path / run / "synthetic.jsonl").read_text() for run in ("straight", "run")]
    assert both[0] == both[1]
    assert RunFolder(tmp_path / "run").manifest["steps"][0]["settings"]["template"] == "{answer}"


def test_a_dry_run_shows_the_first_prompt_and_asks_nothing(model, passages, tmp_path):
    result = qa(passages, "-n", 200, "--out", tmp_path / "rows.jsonl", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "200 rows about 2 passages" in result.stdout and "Fact: " in result.stdout
    assert model.asked == 0 and not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "`--out` or `--run`"),
        (("--out", "x.jsonl", "--template", "{anwser}"), "Did you mean 'answer'?"),
        (("--out", "x.jsonl", "--template", "{answer} {0}"), "got {0}"),
        (("--out", "x.jsonl", "--grounding", "2"), "`grounding` must be in [0, 1]"),
    ],
)
def test_wrong_settings_are_told_before_a_model_is_opened(model, passages, words, message):
    result = qa(passages, "-n", 2, *words)
    assert result.exit_code == 2 and message in result.stderr
    assert model.asked == 0


def test_where_the_rows_go_is_checked_before_a_model_is_asked(model, passages, tmp_path):
    (tmp_path / "there.jsonl").write_text("{}\n")
    for out, says in {"rows.txt": "suffix", passages: "a file that is read", "there.jsonl": "exists"}.items():
        told = RUN.invoke(app, ["generate", "qa", str(passages), "-n", "2", "--out", str(tmp_path / out)])
        assert told.exit_code == 2 and says in told.output, told.output
    assert (tmp_path / "there.jsonl").read_text() == "{}\n"


def test_rows_can_go_to_a_folder_for_datasets(model, passages, tmp_path):
    assert qa(passages, "-n", 2, "--out", tmp_path / "rows").exit_code == 0
    assert len(read(tmp_path / "rows")) == 2


def test_rows_without_a_text_are_no_passages(model, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"question": "Why?", "answer": "So."}')
    result = qa(path, "-n", 2, "--out", tmp_path / "rows.jsonl")
    assert result.exit_code == 2 and "text" in result.stderr
