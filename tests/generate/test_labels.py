import json
from collections import Counter

import pytest

from labelled import labelled_rows, pair_rows
from unflaw._errors import SettingsError
from unflaw.audit import SubjectivityCheck, audit
from unflaw.data import Rows
from unflaw.generate import TextTask, vote
from unflaw.generate._labels import _read
from unflaw.models import HashEncoder

TASK = TextTask("a sentence", {"good": "it praises", "bad": ""})


class Voter:
    """Votes by rule."""

    def __init__(self, rule):
        self.rule, self.asked = rule, []

    def generate(self, prompts, sampling):
        self.asked += [(prompt[-1]["content"], sampling.seed + i) for i, prompt in enumerate(prompts)]
        return [self.rule(prompt[-1]["content"], sampling.seed + i) for i, prompt in enumerate(prompts)]


def sure(prompt, seed):
    return json.dumps({"label": "good" if any(w in prompt for w in ("water", "river", "people")) else "bad"})


def test_each_model_votes_as_often_as_asked():
    rows = labelled_rows(6)
    one, other = Voter(sure), Voter(lambda prompt, seed: '{"label": "BAD"}')
    found = vote(rows, TASK, {"one": one, "other": other}, votes=2)
    assert [Counter(v) for v in found.annotations] == [
        Counter({label: 2}) + Counter({"bad": 2}) for label in rows.column("label")
    ]
    assert len({seed for _, seed in one.asked}) == 12  # every vote is drawn anew
    assert "- good: it praises" in one.asked[0][0] and rows.column("text")[0] in one.asked[0][0]
    given = found.on(rows.take([3, 1]))
    assert given.column("annotations") == [found.annotations[3], found.annotations[1]]
    assert given.column("unflaw.annotators") == [["one", "other"]] * 2


def test_no_label_stands_first_more_often_than_the_others():
    voter, seen = Voter(sure), []
    vote(labelled_rows(4), TASK, {"m": voter}, votes=2, progress=lambda *told: seen.append(told))
    first = [prompt.partition("best?\n- ")[2].partition(":")[0].partition("\n")[0] for prompt, _ in voter.asked]
    assert first == ["good", "bad", "good", "bad", "bad", "good", "bad", "good"]
    assert seen == [(done, 8, 0) for done in range(1, 9)]


def test_an_answer_without_a_label_is_asked_again_and_counted():
    rows, seen = labelled_rows(4), []

    def stubborn(prompt, seed):
        seen.append(seed)
        return "no idea" if "seed" in prompt or len(seen) <= 4 else sure(prompt, seed)

    told = []
    found = vote(rows, TASK, {"m": Voter(stubborn)}, votes=2, max_retries=1, progress=lambda *of: told.append(of))
    assert told[-1] == (8, 8, 4)
    assert found.unread == 0 and [len(v) for v in found.annotations] == [2] * 4
    never = vote(rows, TASK, {"m": Voter(lambda prompt, seed: '{"label": "odd"}')}, votes=2, max_retries=1)
    assert never.unread == 8 and never.annotations == [[]] * 4
    assert never.unreadable[0] == (0, "m", '{"label": "odd"}')


def test_what_people_said_is_not_replaced_and_any_label_can_be_read():
    rows = labelled_rows(4).with_column("annotations", [["good"]] * 4)
    with pytest.raises(SettingsError, match="a column `annotations` already"):
        vote(rows, TASK, {"m": Voter(sure)})
    signs, bare = TextTask("a sentence", {"+": "", "-": ""}), Rows.from_records([{"text": "a"}], {"text": "text"})
    assert vote(bare, signs, {"m": Voter(lambda p, s: '{"label": "-"}')}, votes=2).annotations == [["-", "-"]]


@pytest.mark.parametrize(
    ("told", "label", "wrong"),
    [("a", "mixed", "labels that are none of the task's, good, bad: mixed"), (" ", "good", "a text in every row")],
)
def test_a_blank_text_and_a_label_that_the_task_has_not_are_refused(told, label, wrong):
    rows = Rows.from_records([{"text": told, "label": label}], {"text": "text", "label": "label"})
    with pytest.raises(SettingsError, match=wrong):
        vote(rows, TASK, {"m": Voter(sure)})
    with pytest.raises(SettingsError, match="must hold rows, got none"):
        vote(rows.take([]), TASK, {"m": Voter(sure)})


def test_an_audit_says_that_models_gave_the_labels():
    rows = labelled_rows(30)
    torn = Voter(lambda prompt, seed: json.dumps({"label": ("good", "bad")[seed // 1_000_003 % 2]}))
    found = vote(rows, TASK, {"m": torn}, votes=4, max_retries=0).on(rows)
    finding = next(
        f for f in audit(found, checks=[SubjectivityCheck()], encoder=HashEncoder()).findings if "agreement" in f.check
    )
    assert (
        finding.title.startswith("A panel of language models")
        and "labels of models (m), not of people" in finding.meaning
    )
    assert finding.verdict == "warn" and finding.value < 0
    people = found.take(list(range(30)))
    plain = type(people)(people.table.drop_columns(["unflaw.annotators"]), people.roles)
    asked = audit(plain, checks=[SubjectivityCheck()], encoder=HashEncoder()).findings
    assert next(f for f in asked if "agreement" in f.check).title.startswith("People agree")


def test_pairs_are_shown_whole():
    voter = Voter(lambda prompt, seed: '{"label": "same"}')
    vote(pair_rows(1), TextTask("a pair", {"same": "", "other": ""}), {"m": voter}, votes=2)
    assert " \\u2192 " in voter.asked[0][0] or " → " in voter.asked[0][0]


@pytest.mark.parametrize(
    ("panel", "votes", "told"), [({}, 3, "at least one model"), ({"m": Voter(sure)}, 1, "two labels")]
)
def test_too_few_votes_are_refused(panel, votes, told):
    with pytest.raises(SettingsError, match=told):
        vote(labelled_rows(2), TASK, panel, votes=votes)


def test_labels_that_differ_by_case_are_told_apart():
    assert [_read(f'{{"label": "{said}"}}', ["US", "us"]) for said in ("us", "US", " us ", "Us", "uk")] == [
        "us", "US", "us", "US", None,
    ]  # fmt: skip
