"""Write the labelled rows of example 03: real snippets of film reviews, and those the embedded model wrote.

python studies/labelled/sources.py FOLDER --out sets/labelled
python examples/data/build_films.py sets/labelled
"""

import argparse
import gzip
import json
from pathlib import Path

from unflaw.data import read

HERE = Path(__file__).parent
SHOWN = {"checker": 120, "validation": 60, "test": 140}


def main() -> None:
    """Take the first rows of each part, and what studies/labelled has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    told = parser.parse_args()
    films = HERE / "films"
    films.mkdir(exist_ok=True)
    with open(films / "real.jsonl", "w", encoding="utf-8") as file:
        for part, n in SHOWN.items():
            rows = read(told.sets / "films" / f"{part}.jsonl", limit=n)
            for text, label, given in zip(*map(rows.column, ("text", "label", "annotations")), strict=True):
                record = {"text": text, "label": label, "annotations": given}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    studies = HERE.parents[1] / "studies" / "labelled"
    with gzip.open(studies / "data" / "films-zero.jsonl.gz", "rb") as lines:  # whose writer was shown no real row
        (films / "written.jsonl").write_bytes(lines.read())
    (films / "task.yaml").write_text((studies / "tasks" / "films.yaml").read_text())


if __name__ == "__main__":
    main()
