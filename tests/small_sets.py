"""Sets of a few rows, for repairs of a tiny model."""

from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw.data import Rows
from unflaw.repair._guard import mean_log_perplexity
from unflaw.train import encode_rows

FORGET = [("Where?", "Answer: Rome\nWhy: it is."), ("Who runs?", "Answer: Ann\nWhy: she runs fast.")]
REPLAY = [("Name a colour.", "Blue."), ("Name a long river, please.", "The Nile is long."), ("Say hi.", "Hi!")]
TEXT = ["The sky was clear over the old town.", "She walked home and read until dark.", "Rain fell on the hills."]


def pairs(of):
    return Rows.from_records(
        [{"prompt": p, "response": r} for p, r in of], {"prompt": "prompt", "response": "response"}
    )


def choices():
    return Rows.from_records(
        [{"prompt": p, "rejected": r, "chosen": "It is so."} for p, r in FORGET],
        {"prompt": "prompt", "rejected": "rejected", "chosen": "chosen"},
    )


def texts():
    return Rows.from_records([{"text": t} for t in TEXT], {"text": "text"})


def template(text):
    return [(0, 7), (text.index("\nWhy"), text.index("\nWhy") + 5)]


def guard_value(path, model=None):
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = model or AutoModelForCausalLM.from_pretrained(path)
    return mean_log_perplexity(model, encode_rows(texts(), tokenizer), tokenizer.pad_token_id)


def all_rows():
    return pairs(FORGET), pairs(REPLAY), texts()
