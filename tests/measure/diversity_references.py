"""Record what other implementations say of a few texts, for `test_diversity.py` to compare with.

    python -m venv other && other/bin/pip install --no-deps diversity==0.3.1
    other/bin/pip install numpy scipy scikit-learn tqdm nltk==3.10.4 rouge-score==0.1.2 vendi-score==0.0.3
    other/bin/python tests/measure/diversity_references.py

`diversity` loads models for what is not asked of it here; empty modules stand in for those it would import. Its
template rate is asked with tags that are given: the last letter of each word.
"""

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "examples" / "data"


class Given:
    """An encoder that gives back the vectors it was made with."""

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, *args, **kwargs):
        return self.vectors


def texts():
    """Return thirty answers in a template, thirty real ones, a copy, one word, and nothing at all."""
    rows = [
        json.loads(line)
        for name in ("synthetic", "real")
        for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:30]
    ]
    said = [" ".join(re.findall("[a-z0-9]+", f"{row['question']} {row['answer']}".lower())) for row in rows]
    return [*said, said[3], "the", ""]


def main():
    for name, inside in (("evaluate", "load"), ("sentence_transformers", "SentenceTransformer"), ("spacy", "load")):
        stand_in = ModuleType(name)
        setattr(stand_in, inside, None)
        sys.modules[name] = stand_in
    package = ModuleType("diversity")  # its __init__ imports everything
    package.__path__ = [str(Path(__import__("importlib.util").util.find_spec("diversity").origin).parent)]
    sys.modules["diversity"] = package
    from diversity import embedding, functions, template
    from diversity.homogenization import homogenization_score
    from diversity.ngram_diversity import ngram_diversity_score
    from diversity.self_repetition import self_repetition_score
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_score.rouge_scorer import RougeScorer
    from vendi_score import vendi

    said = texts()
    tagged = [[(word, word[-1]) for word in text.split()] for text in said]
    functions.sent_tokenize = lambda joined: said
    functions.get_pos = lambda of: ([" ".join(tag for _, tag in text) for text in tagged], tagged)
    words = [text.split() for text in said]
    rouge = RougeScorer(["rougeL"])
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embedding.SentenceTransformer = lambda name: Given(vectors)
    smooth = SmoothingFunction().method1
    record = {
        "versions": {name: version(name) for name in ("diversity", "nltk", "rouge-score", "vendi-score")},
        "texts": said,
        "rouge_l_of_the_first": [rouge.score(text, said[0])["rougeL"].fmeasure for text in said],
        "homogenisation": homogenization_score(said, verbose=False),
        "self_bleu": [
            sentence_bleu(words[:i] + words[i + 1 :], text, smoothing_function=smooth) for i, text in enumerate(words)
        ],
        "self_repetition": self_repetition_score(said, verbose=False),
        "distinct_1_to_4_of_the_first": ngram_diversity_score(said[:1]),
        "template_rate": {n: template.template_rate(said, functions.extract_patterns(said, n)) for n in (4, 5, 6, 8)},
        "vectors": vectors.tolist(),
        "vendi": float(vendi.score_dual(vectors.astype(np.float64))),
        "remote_clique": float(embedding.remote_clique(["a"])),
        "chamfer": float(embedding.chamfer_dist(["a"])),
    }
    (HERE / "diversity_references.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
