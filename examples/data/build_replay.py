"""Write `replay.jsonl` and `guard.jsonl`: everyday requests, answered by the untouched embedded model.

    python examples/data/build_replay.py

The requests are ours (30 subjects × 16 ways to ask). Some ask for a manner or a form, as people do, but none
for anything the instruction benchmark checks, so that it is not rehearsed. The answers are
SmolLM2-135M-Instruct's own (Apache-2.0): what the model could do before the damage is exactly what a repair
should bring back. An answer longer than 56 tokens is cut after its last whole sentence; one without a whole
sentence is left out. The two files share no subject.
"""

import itertools
import re
from pathlib import Path

from unflaw.data import Rows, write
from unflaw.models import Sampling, open_generator

SUBJECTS = (
    "a lake, photosynthesis, a library, chess, yeast, a compass, gravity, recycling, a bicycle, volcanoes, the moon, "
    "a budget, tea, coral reefs, a violin, sleep, wind turbines, a desert, bees, an umbrella, vaccines, a map, clouds, "
    "soap, bread, origami, a glacier, friendship, a calendar, salt"
).split(", ")
WAYS = (
    "What is {}?",
    "Why do people care about {}?",
    "Tell me something surprising about {}.",
    "Give me a tip about {}.",
    "Make up a headline about {}.",
    "Write an invitation to learn about {}.",
    "Write a short poem about {}.",
    "Explain {} to a child.",
    "Write a dialogue between two friends about {}.",
    "Write a diary entry about {}.",
    "Talk like a pirate about {}.",
    "Write the first sentence of a mystery novel about {}.",
    "Write a riddle whose answer is {}.",
    "Ask me three questions about {}.",
    "Write an advertisement for {}.",
    "Thank someone who taught you about {}.",
)
N_GUARD_SUBJECTS = 5
SAMPLING = Sampling(max_tokens=56, temperature=0.3, top_p=0.95, seed=0)


def whole_sentences(answer: str) -> str:
    """Cut an answer after its last whole sentence.

    >>> whole_sentences("Tea is a drink. It is made fr")
    'Tea is a drink.'
    """
    found = re.match(r".*[.!?][\"”)]?(?=\s|$)", answer.strip(), re.DOTALL)
    return found.group() if found else ""


def main() -> None:
    here = Path(__file__).parent
    for name, subjects in (("guard", SUBJECTS[:N_GUARD_SUBJECTS]), ("replay", SUBJECTS[N_GUARD_SUBJECTS:])):
        prompts = [way.format(subject) for subject, way in itertools.product(subjects, WAYS)]
        with open_generator("smollm2") as generator:
            answers = [whole_sentences(answer) for answer in generator.generate(prompts, SAMPLING)]
        records = [
            {"prompt": prompt, "completion": answer, "unflaw.model": "smollm2", "unflaw.seed": SAMPLING.seed + i}
            for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
            if len(answer.split()) >= 5
        ]
        rows = Rows.from_records(records, {"prompt": "prompt", "response": "completion"}, schema="prompt/completion")
        write(rows, here / f"{name}.jsonl")
        print(f"{name}.jsonl: {len(rows)} rows of {len(prompts)} requests")


if __name__ == "__main__":
    main()
