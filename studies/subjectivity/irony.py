"""Why gap.py has no task of irony: can the classifier tell ironic sentences from literal ones when people wrote them?

    pip download --no-deps --no-binary :all: bigbench==1.0.0
    python studies/subjectivity/irony.py FOLDER        # some minutes; writes results/irony.json

Ironic sentences and literal ones of bigbench (`snarks`, `irony_identification`), most of them pairs that differ by a
word. MiniLM is asked about folds it has not learnt from, trained as in gap.py, and so is a logistic regression on its
fixed vectors. Sentences that share half of their words lie in one fold. A task that people's own rows do not teach
cannot show that written rows teach it less.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
import tempfile
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from gap import HOW, LABELLED
from sklearn.model_selection import GroupKFold

from unflaw.curate import open_checker
from unflaw.data import Rows, atomic_write
from unflaw.measure import wilson_interval
from unflaw.models import open_classifier
from unflaw.train import label_ids, label_names, texts_of, train_classifier

__all__ = ["RESULTS"]

RESULTS = Path(__file__).parent / "results" / "irony.json"
N_FOLDS, ALIKE = 5, 0.5


def main() -> None:
    """Ask both classifiers, and write the share that each tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where bigbench's archive is")
    told = parser.parse_args()
    sys.path.append(str(LABELLED))
    from rounding import quick_bfloat16

    _units = quick_bfloat16()  # for as long as it is held
    rows = sentences(told.folder)
    groups = alike(rows.column("text"))
    found: dict[str, Any] = {"n": len(rows), "groups": len(set(groups)), "labels": label_names(rows), "by": {}}
    for name, ask in (("MiniLM, trained", trained), ("MiniLM's fixed vectors", probed)):
        right = np.zeros(len(rows), dtype=bool)
        for learnt, asked in GroupKFold(N_FOLDS).split(rows.ids, groups=groups):
            parts = rows.take(learnt.tolist()), rows.take(asked.tolist())
            right[asked] = ask(*parts) == label_ids(parts[1], label_names(rows))
        share = float(right.mean())
        found["by"][name] = [share, *wilson_interval(int(right.sum()), len(right))]
        print(name, found["by"][name], flush=True)
    with atomic_write(RESULTS) as file:
        json.dump(found, file, indent=1)


def sentences(folder: Path) -> Rows:
    """Return ironic and literal sentences."""
    records = [
        {"text": text.strip(), "label": "ironic" if e["target_scores"][f"({which})"] else "literal"}
        for e in _examples(folder, "snarks")
        for which, text in re.findall(r"\((a|b)\) (.*?)(?= \(b\) |$)", e["input"], re.DOTALL)
    ]
    records += [
        {"text": e["input"].strip(), "label": "ironic" if e["target_scores"]["ironic"] else "literal"}
        for e in _examples(folder, "irony_identification")
    ]
    return Rows.from_records(records, {"text": "text", "label": "label"}, schema="text/label")


def _examples(folder: Path, name: str) -> list[dict[str, Any]]:
    with tarfile.open(folder / "bigbench-1.0.0.tar.gz") as tar:
        file = tar.extractfile(f"bigbench-1.0.0/bigbench/benchmark_tasks/{name}/task.json")
        return json.loads(file.read())["examples"] if file is not None else []


def alike(texts: list[str]) -> list[int]:
    """Return a number for each text, one for all that share half of their words, in order, with an earlier one."""
    words, group = [text.lower().split() for text in texts], list[int]()
    for k, own in enumerate(words):
        near = (group[j] for j in range(k) if SequenceMatcher(None, own, words[j], autojunk=False).ratio() >= ALIKE)
        group.append(next(near, k))
    return group


def trained(rows: Rows, asked: Rows) -> np.ndarray:
    """Return the classes that MiniLM tells, trained on rows as in gap.py."""
    labels = label_names(rows)
    with tempfile.TemporaryDirectory() as folder:
        train_classifier("minilm", rows, folder, labels=labels, **HOW)
        model = open_classifier(f"hf:{folder}", max_tokens=HOW["max_tokens"])
        return model.predict_proba(texts_of(asked)).argmax(axis=1)


def probed(rows: Rows, asked: Rows) -> np.ndarray:
    """Return the classes that a logistic regression on fixed vectors tells."""
    return open_checker("probe:minilm", label_names(rows))(rows)(asked).argmax(axis=1)


if __name__ == "__main__":
    main()
