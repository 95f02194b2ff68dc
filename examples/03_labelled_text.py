"""From a task file to a classifier: write labelled rows, weigh them by what real rows say, grade the test, compare.

Small sizes: the shape of it, not a result. About three minutes on two cores; docs/labelled-text.md says what each step
is for. Run it from anywhere: python examples/03_labelled_text.py [FOLDER], which keeps models and the report.
"""

import sys
import tempfile
from pathlib import Path

import unflaw
from unflaw.curate import difficulty, split, weigh
from unflaw.data import Rows, open_run
from unflaw.evaluate import accuracy_by_agreement, labels
from unflaw.generate import read_task, text
from unflaw.models import open_generator
from unflaw.train import ARMS, train_arms

DATA = Path(__file__).parent / "data" / "films"
HOW = {"epochs": 3, "batch_size": 16, "learning_rate": 3e-4, "max_tokens": 48}


def walk(folder: Path) -> None:
    """Walk, and leave models and the report in a folder."""
    # Real rows in three parts that share no text; none serves two ends.
    real = unflaw.read(DATA / "real.jsonl")
    parts = {name: real.only(ids) for name, ids in split(real, {"checker": 100, "validation": 60, "test": 120}).items()}

    # A few texts by the embedded model, beside those that it wrote before. A fifth gets the wrong label, so that there
    # is a truth to hold the weights against.
    task = read_task(DATA / "task.yaml")
    made = text(task, open_generator("smollm2"), n=4, examples=parts["checker"], shots=4)
    for label, said in zip(made.rows.column("label"), made.rows.column("text"), strict=True):
        print(f"{label:9} {said}")
    written = unflaw.read(DATA / "written.jsonl", limit=116)
    texts, labelled = ([*made.rows.column(name), *written.column(name)] for name in ("text", "label"))
    other = {"positive": "negative", "negative": "positive"}
    records = [
        {"text": said, "label": other[label] if k % 5 == 0 else label, "wrong": k % 5 == 0}
        for k, (said, label) in enumerate(zip(texts, labelled, strict=True))
    ]
    synthetic = Rows.from_records(records, {"text": "text", "label": "label"})

    with open_run(folder / "run", settings=HOW, command="walk") as run:
        # What is wrong with the rows, and is the task one of opinion?
        checks = unflaw.audit(synthetic, parts["checker"]).findings
        # What should each count?
        weights = weigh(synthetic, parts["checker"], checker="probe:minilm", wrong="wrong")
        weighed = weights.on(synthetic)
        # How hard is the test?
        graded = difficulty(parts["test"], **HOW)
        run.add_findings([*checks, *weights.findings, *graded.findings])
        run.add_rows(weighed)
        run.add_rows(graded.on(parts["test"]))

        # Every remedy on the same terms, for half as long as there are twelve, and what it gains, paired row by row.
        trained = train_arms(
            "minilm", weighed, parts["checker"], parts["validation"], folder / "run" / "models", **HOW | {"epochs": 1.5}
        )
        scores = {arm: labels(f"hf:{done.path}", parts["test"], name=arm) for arm, done in trained.items()}
        run.add_scores([score for of in scores.values() for score in of])
        others = [arm for arm in ARMS if arm != "plain"]
        pairs = [pair for arm in others for pair in unflaw.compare(scores["plain"], scores[arm])]
        run.add_comparisons([vars(pair) for pair in pairs])
        if (opinion := accuracy_by_agreement([of[0] for of in scores.values()], parts["test"])) is not None:
            run.add_findings([opinion])

    for finding in [*weights.findings, *graded.findings]:
        print(f"{finding.verdict:4}  {finding.check:22} {finding.meaning}")
    for pair in pairs:
        if pair.benchmark == "labels.accuracy":
            change = f"{pair.difference:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}]"
            print(f"{pair.model_b:8} {pair.value_b:.3f}, against plain {change}: {pair.verdict}")
    page = unflaw.render(folder / "run")
    print(f"{page}: a report of {page.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        walk(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as place:
            walk(Path(place))
