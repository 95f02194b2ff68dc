"""What was said before the response, as a chat template takes it."""

from unflaw.data import chats, read

SYSTEM, ASK, SAY = (
    {"role": r, "content": c} for r, c in (("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"))
)
LAST = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Rome."}]


def written(tmp_path, *records):
    import json

    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read(path)


def test_turns_stay_turns_and_a_single_question_is_text(tmp_path):
    rows = written(
        tmp_path,
        {"messages": [SYSTEM, ASK, SAY, *LAST]},
        {"messages": [SYSTEM, *LAST]},
        {"messages": [*LAST, {"role": "user", "content": "Thanks!"}]},
    )
    assert chats(rows) == [([SYSTEM, ASK, SAY, LAST[0]], "Rome."), ([SYSTEM, LAST[0]], "Rome."), ("Where?", "Rome.")]
    assert chats(rows.take([2, 0])) == [("Where?", "Rome."), ([SYSTEM, ASK, SAY, LAST[0]], "Rome.")]


def test_speakers_are_called_by_their_usual_names(tmp_path):
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello"},
    ]
    assert chats(written(tmp_path, {"conversations": turns})) == [([SYSTEM, ASK], "Hello")]


def test_other_rows_are_their_pairs(tmp_path):
    rows = written(tmp_path, {"question": "Where?", "answer": "Rome.", "context": "Italy."})
    assert chats(rows) == rows.pairs() == [("Italy.\n\nWhere?", "Rome.")]
