"""Every schema is recognised from its columns, and says the same roles in the same words."""

import pytest

from unflaw._errors import SchemaError
from unflaw.data._schemas import recognise
from unflaw.data._values import Unfit

TURNS = [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
SHAREGPT = [{"from": "system", "value": "S"}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]

SAME_WORDS = {
    "messages": {"messages": TURNS},
    "sharegpt": {"conversations": SHAREGPT},
    "alpaca": {"instruction": "Hi", "input": "", "output": "Ho", "system": "S"},
    "prompt/completion": {"prompt": "Hi", "completion": "Ho"},
    "question/answer/context": {"question": "Hi", "answer": "Ho", "context": "S"},
}


@pytest.mark.parametrize("name", SAME_WORDS)
def test_one_exchange_says_the_same_in_every_schema(name):
    schema = recognise([SAME_WORDS[name]])
    values = schema.values(SAME_WORDS[name])
    assert schema.name == name
    assert (values["prompt"], values["response"]) == ("Hi", "Ho")
    assert values.get("context", "S") == "S"


@pytest.mark.parametrize(
    ("record", "name", "roles"),
    [
        ({"text": "a"}, "text", {"text": "text"}),
        ({"text": "a", "label": 1}, "text/label", {"text": "text", "label": "label"}),
        (
            {"premise": "a", "hypothesis": "b", "label": "no"},
            "premise/hypothesis/label",
            {"premise": "premise", "hypothesis": "hypothesis", "label": "label"},
        ),
        (
            {"prompt": "p", "chosen": "c", "rejected": "r"},
            "preference",
            {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
        ),
        ({"prompt": "p", "response": "r"}, "prompt/completion", {"prompt": "prompt", "response": "response"}),
        ({"Question": "p", "Answer": "r"}, "question/answer", {"prompt": "Question", "response": "Answer"}),
        ({"age": 3, "job": "clerk"}, "table", {}),
        ({"text": "a", "id": 3, "source": "b"}, "text", {"text": "text"}),
    ],
)
def test_plain_columns_play_their_roles_themselves(record, name, roles):
    schema = recognise([record])
    assert (schema.name, schema.roles) == (name, roles)


def test_alpaca_input_follows_the_instruction_in_a_column_of_ours():
    records = [{"instruction": "Add", "input": "1 2", "output": 3}, {"instruction": "Hi", "input": "", "output": "Ho"}]
    schema = recognise(records)
    assert schema.roles == {"prompt": "unflaw.prompt", "response": "unflaw.response"}
    assert [schema.values(r) for r in records] == [
        {"prompt": "Add\n\n1 2", "response": "3"},
        {"prompt": "Hi", "response": "Ho"},
    ]


@pytest.mark.parametrize("answers", [["A", "B"], {"text": ["A", "B"], "answer_start": [1, 7]}])
def test_the_first_of_several_answers_is_the_response(answers):
    record = {"question": "Q", "answers": answers}
    assert recognise([record]).values(record)["response"] == "A"


def test_several_turns_become_one_prompt_and_what_follows_the_last_answer_is_left_out():
    turns = [*TURNS, {"role": "user", "content": "Again"}, {"role": "assistant", "content": "No"}]
    record = {"messages": [*turns, {"role": "user", "content": "Why?"}]}
    assert recognise([record]).values(record) == {
        "prompt": "user: Hi\n\nassistant: Ho\n\nuser: Again",
        "response": "No",
        "context": "S",
    }


def test_preference_conversations_share_their_prompt():
    chosen, rejected = TURNS[1:], [TURNS[1], {"role": "assistant", "content": "Bah"}]
    record = {"chosen": chosen, "rejected": rejected}
    schema = recognise([record])
    assert schema.name == "preference"
    assert schema.values(record) == {"prompt": "Hi", "chosen": "Ho", "rejected": "Bah"}


def test_the_schema_most_rows_fit_wins():
    rows = [{"question": "Q", "answer": "A"}] * 2 + [{"text": "a"}] * 50
    assert recognise(rows).name == "text"
    assert recognise(rows[:2] * 30 + rows).name == "question/answer"


def test_roles_can_be_given_to_columns():
    rows = [{"q": "What is it?", "a": "A bird of prey"}]
    schema = recognise(rows, columns={"prompt": "q", "response": "a"})
    assert (schema.name, schema.roles) == ("prompt/completion", {"prompt": "q", "response": "a"})
    assert recognise([{"dialog": TURNS}], columns={"messages": "dialog"}).name == "messages"
    assert recognise([{"age": 1, "ill": "no"}], schema="table", columns={"label": "ill"}).roles == {"label": "ill"}


@pytest.mark.parametrize(
    ("record", "roles"),
    [
        ({"question": "Q", "answer": "A", "context": "C"}, {"prompt": "Q", "response": "A", "context": "C"}),
        ({"instruction": "Q", "input": "", "output": "A"}, {"prompt": "Q", "response": "A"}),
        ({"prompt": "Q", "completion": "A"}, {"prompt": "Q", "response": "A"}),
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, {"prompt": "Q", "chosen": "A", "rejected": "B"}),
        ({"messages": TURNS}, {"prompt": "Hi", "response": "Ho", "context": "S"}),
    ],
)
def test_an_answer_has_a_label_where_the_caller_names_one_and_loses_nothing(record, roles):
    record = {**record, "label": 1, "topic": "birds"}
    usual = recognise([record])
    assert usual.values(record) == roles
    named = recognise([record], columns={"label": "topic"})
    assert (named.name, named.values(record)) == (usual.name, {**roles, "label": "birds"})
    with pytest.raises(Unfit, match="no label: `topic` is missing"):
        named.values({**record, "topic": None})


def test_unknown_columns_are_named_with_the_nearest_schemas_and_the_way_out():
    with pytest.raises(SchemaError) as caught:
        recognise(
            [{"question": f"Who was king {i}?", "anser": "Henry the Eighth"} for i in range(30)], source="a.jsonl"
        )
    message = str(caught.value)
    assert "Columns: question (text), anser (text)" in message
    assert "question/answer: lacks `answer` or `answers` (is it 'anser'?)" in message
    assert "columns={" in message and 'schema="table"' in message


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        ({"schema": "alpacca"}, "Did you mean 'alpaca'?"),
        ({"columns": {"respons": "a"}}, "Did you mean 'response'?"),
        ({"columns": {"response": "answr"}}, "Did you mean 'answer'?"),
        ({"schema": "messages"}, "lacks `messages`"),
        ({"columns": {"response": "answer"}, "schema": "text"}, "do not fit text"),
    ],
)
def test_a_mistaken_override_is_explained(call, hint):
    with pytest.raises(SchemaError, match=hint):
        recognise([{"question": "Q", "answer": "A"}], **call)


def test_columns_of_numbers_and_classes_are_a_table_but_stray_text_is_not():
    table = [{"age": i, "job": f"Clerk of class {i % 3}"} for i in range(60)]
    assert recognise(table).name == "table"
    wordy = [{**row, "note": f"this row was seen {i} times"} for i, row in enumerate(table)]
    with pytest.raises(SchemaError):
        recognise(wordy)
    assert recognise(wordy, binary=True).name == "table"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"question": "Q", "answer": "  "}, "no response: `answer` is missing or empty"),
        ({"question": "Q"}, "no response: `answer` is missing or empty"),
        ({"question": "Q", "answer": 3}, "not text: `answer` (response) holds a number, other rows hold text"),
        ({"question": ["Q"], "answer": "A"}, "not text: `question` (prompt) holds a list, other rows hold text"),
        ({"question": "\ud800", "answer": "A"}, "not text: `question` holds half a surrogate pair"),
    ],
)
def test_a_row_that_cannot_play_its_roles_says_why(record, reason):
    schema = recognise([{"question": "Q", "answer": "A"}])
    with pytest.raises(Unfit) as caught:
        schema.values(record)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("record", "bad"),
    [
        ({"prompt": "p", "completion": "c"}, "completion"),
        ({"prompt": "p", "completion": "c"}, "prompt"),
        ({"prompt": "p", "completion": 3}, "completion"),
        ({"question": "q", "answer": "a"}, "answer"),
        ({"question": "q", "answers": ["a"]}, "answers"),
        ({"instruction": "i", "input": "", "output": "o"}, "output"),
        ({"prompt": "p", "chosen": "c", "rejected": "r"}, "chosen"),
    ],
)
@pytest.mark.parametrize("nan", [float("nan"), float("inf")])
def test_nan_is_no_text_but_a_missing_one(record, bad, nan):
    rows = [record, {**record, bad: nan}]
    schema = recognise(rows)
    assert (schema.name, schema.derived) == (recognise([record]).name, recognise([record]).derived)
    with pytest.raises(Unfit, match=f"^no .*: `{bad}` is missing or empty"):
        schema.values(rows[1])


def test_an_input_that_is_nan_adds_nothing_to_the_instruction():
    record = {"instruction": "Hi", "input": float("nan"), "output": "Ho"}
    assert recognise([record]).values(record)["prompt"] == "Hi"


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "no conversation"),
        (None, "no conversation"),
        (TURNS[:2], "no response"),
        (TURNS[2:], "no prompt"),
        ([{"role": "narrator", "content": "x"}], "unknown speaker: 'narrator'"),
        (["Hi"], "broken turn"),
        ([{"role": "user", "content": 3}], "broken turn"),
    ],
)
def test_a_broken_conversation_says_why(turns, reason):
    with pytest.raises(Unfit, match=reason):
        recognise([{"messages": TURNS}]).values({"messages": turns})


@pytest.mark.parametrize("label", [float("nan"), float("inf"), "one", True, [1], None])
def test_labels_are_finite_and_of_one_kind(label):
    schema = recognise([{"text": "a", "label": 1}, {"text": "b", "label": 0.5}])
    with pytest.raises(Unfit):
        schema.values({"text": "c", "label": label})
