import json

import numpy as np
import pytest
from transformers import AutoTokenizer

from unflaw._errors import SettingsError
from unflaw.data import Rows, read
from unflaw.train import Encoded, encode_rows, left_out, pad_batch, plan_batches


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return AutoTokenizer.from_pretrained(tiny)


def rows(*pairs, **columns):
    records = [{"prompt": p, "response": r} for p, r in pairs]
    for name, values in columns.items():
        records = [{**record, name: v} for record, v in zip(records, values, strict=True)]
    return Rows.from_records(records, {"prompt": "prompt", "response": "response"})


def counted(tokenizer, encoded):
    return tokenizer.decode([i for i, w in zip(encoded.ids, encoded.weight, strict=True) if w > 0])


def test_response_target_counts_the_answer_and_its_end(tokenizer):
    [encoded] = encode_rows(rows(("Hi?", "Good day.")), tokenizer)
    assert counted(tokenizer, encoded) == "Good day.<|im_end|>"


def test_full_target_counts_all_but_the_first_token(tokenizer):
    [encoded] = encode_rows(rows(("Hi?", "Good day.")), tokenizer, target="full")
    assert encoded.weight == [0.0] + [1.0] * (len(encoded.ids) - 1)


def test_template_target_counts_only_tokens_inside_the_spans(tokenizer):
    text = "Answer: Zürich\nExplanation: It is."
    spans = [(0, 7), (text.index("\nExpl"), text.index(" It"))]
    [encoded] = encode_rows(rows(("Where?", text)), tokenizer, target="template", spans=lambda _: spans)
    assert counted(tokenizer, encoded) == "Answer:\nExplanation:"


def test_template_without_spans_is_refused(tokenizer):
    with pytest.raises(SettingsError, match="needs the template"):
        encode_rows(rows(("a", "b")), tokenizer, target="template")


def test_weight_column_scales_the_tokens(tokenizer):
    three = encode_rows(rows(("a", "b"), ("a", "b"), ("a", "b"), weight=[0.1, 0.3, 0.0]), tokenizer)
    assert [max(e.weight) for e in three] == pytest.approx([0.5, 1.5, 0.0])  # the rows that count weigh 1 on average


def test_a_row_that_was_cut_says_so(tokenizer):
    short, long = encode_rows(rows(("a", "b"), ("a", "b " * 50)), tokenizer, max_tokens=40)
    assert (short.cut, long.cut) == (False, True)


def test_plan_draws_every_row_once_per_epoch_and_the_same_for_the_same_seed():
    plan = plan_batches([5] * 10, 2, 10, np.random.default_rng(3))
    assert [len(b) for b in plan] == [2] * 10
    for epoch in (plan[:5], plan[5:]):
        assert sorted(i for b in epoch for i in b) == list(range(10))
    assert plan == plan_batches([5] * 10, 2, 10, np.random.default_rng(3))
    assert plan != plan_batches([5] * 10, 2, 10, np.random.default_rng(4))


def test_no_row_is_alone_in_a_batch_and_rows_of_one_length_meet_others_from_epoch_to_epoch():
    plan = plan_batches(list(range(33)), 32, 20, np.random.default_rng(0))
    assert {len(b) for b in plan} == {16, 17}
    plan = plan_batches([20] * 300, 32, 20, np.random.default_rng(0))
    assert {len(b) for b in plan} == {30} and len({frozenset(b) for b in plan}) == 20


def test_pools_of_a_large_set_hold_every_row_once():
    plan = plan_batches([7] * 1633, 8, 205, np.random.default_rng(0))
    assert sorted(i for b in plan for i in b) == list(range(1633)) and {len(b) for b in plan} == {7, 8}


def test_plan_keeps_padding_small():
    lengths = np.random.default_rng(0).integers(5, 200, 400).tolist()
    plan = plan_batches(lengths, 8, 50, np.random.default_rng(0))
    padded = sum(len(b) * max(lengths[i] for i in b) for b in plan)
    assert sum(lengths[i] for b in plan for i in b) / padded > 0.95


def test_pad_batch_pads_on_the_right_with_no_weight():
    batch = pad_batch([Encoded([5, 6, 7], [0.0, 1.0, 1.0]), Encoded([8, 9], [0.0, 1.0])], pad_id=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["weight"].tolist() == [[0, 1, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("text", "span"), [("Answer: Paris is far.", (8, 13)), ("é is a letter.", (0, 1)), ("日本 is far", (0, 2))]
)
@pytest.mark.parametrize("prompt", ["", "Where?"])
def test_spans_are_found_where_they_stand(tokenizer, prompt, text, span):
    """In plain text, whose first token is never predicted, and in characters of several tokens."""
    [encoded] = encode_rows(rows((prompt, text)), tokenizer, target="template", spans=lambda _: [span])
    kept = [w > 0 or (not prompt and i == 0 and span[0] == 0) for i, w in enumerate(encoded.weight)]
    said = tokenizer.decode([i for i, k in zip(encoded.ids, kept, strict=True) if k])
    assert said.strip() == text[slice(*span)]


TURNS = (
    "{{% for turn in messages %}}<|im_start|>{{{{ turn.role }}}}\n"
    "{{% if turn.role == 'assistant' %}}{thought}{{% endif %}}{{{{ {content} }}}}<|im_end|>\n{{% endfor %}}"
    "{{% if add_generation_prompt %}}<|im_start|>assistant\n{{% endif %}}"
)


@pytest.mark.parametrize("lead", ["", "\n\n"])
@pytest.mark.parametrize(
    ("thought", "content"),
    [
        ("<think>\n\n</think>\n\n", "turn.content"),
        ("", "turn.content | trim"),
        ("<think></think>", "turn.content | trim"),
    ],
    ids=["thinks", "trims", "both"],
)
def test_spans_are_found_where_a_template_puts_the_answer(tokenizer, monkeypatch, thought, content, lead):
    monkeypatch.setattr(tokenizer, "chat_template", TURNS.format(thought=thought, content=content))
    text = f"{lead}Answer: Rome\nWhy: it is so."
    for span, said in (((len(lead), len(lead) + 7), "Answer:"), ((0, len(text)), text)):
        [encoded] = encode_rows(rows(("Where?", text)), tokenizer, target="template", spans=lambda _, s=span: [s])
        assert counted(tokenizer, encoded).strip() == said.strip()


@pytest.fixture
def conversation(tmp_path):
    turns = [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Where?"),
        ("assistant", "Rome."),
    ]
    record = {"messages": [{"role": role, "content": content} for role, content in turns]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(record) + "\n")
    return read(tmp_path / "rows.jsonl"), record["messages"]


def test_a_conversation_is_read_as_its_model_will_be_asked(tokenizer, conversation):
    rows, turns = conversation
    [encoded] = encode_rows(rows, tokenizer)
    assert tokenizer.decode(encoded.ids) == tokenizer.apply_chat_template(turns, tokenize=False).rstrip("\n")
    assert counted(tokenizer, encoded) == "Rome.<|im_end|>" and not encoded.flat


def test_a_template_that_takes_no_system_reads_one_turn_and_that_is_told(tokenizer, conversation, monkeypatch):
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", refuses + TURNS.format(thought="", content="turn.content"))
    [encoded] = encode_rows(conversation[0], tokenizer)
    assert "user\nBe brief.\n\nuser: Hi\n\nassistant: Hello\n\nuser: Where?" in tokenizer.decode(encoded.ids)
    assert counted(tokenizer, encoded) == "Rome.<|im_end|>"
    assert left_out([encoded], "rows", 512) == (
        "1 of 1 `rows` have turns that the model's chat template refuses, and were read as one",
    )
