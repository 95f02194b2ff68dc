import json
import random

import pytest

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.measure import Phrase, Template, mine_template, tokenise

WORDS = "river stone lamp garden winter paper engine silver mountain letter window captain harbor music forest".split()


def prose(rng, n):
    """Rows of one to four sentences with nothing in common but the words."""
    rows = []
    for _ in range(n):
        sentences = [" ".join(rng.choices(WORDS, k=rng.randint(3, 9))).capitalize() for _ in range(rng.randint(1, 4))]
        rows.append(rng.choice([". ", ".\n"]).join(sentences) + rng.choice(["", ".", "!"]))
    return rows


def phrase(*tokens, anchor="line"):
    return Phrase(tokens, anchor, " ".join(tokens), "line start", 1.0, 0.0, 9.0)


FORM = Template(
    (phrase("Answer", ":"), phrase("Explanation", ":"), phrase("Topic", ":")), (((0, 1, 2), 0.9), ((0, 1), 0.1))
)


def marked(template, text):
    return [text[start:end] for start, end in template.spans(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3.5 km!!", ["It's", "3", ".", "5", "km", "!!"]),
        ("a\n\n  b", ["a", "\n", "b"]),
        ("## Title\n1. one\n12) two", ["##", "Title", "\n", "1", ".", "one", "\n", "1", ")", "two"]),
        ("In 12. 7", ["In", "12", ".", "7"]),
        ("東京です。", ["東", "京", "で", "す", "。"]),
        ("", []),
    ],
)
def test_tokenise(text, words):
    assert tokenise(text).words == words


def test_tokenise_is_linear_in_hostile_text():
    for piece in (" ", "\n", "'", "!", "a'", "\n "):
        tokenise(piece * 200_000)


def test_spans_cover_labels_and_their_line_breaks_only():
    text = "Answer: Paris\nExplanation: It is the capital.\nTopic: geography"
    assert marked(FORM, text) == ["Answer:", "\nExplanation:", "\nTopic:"]
    assert FORM.spans(text) == [(0, 7), (13, 26), (45, 52)]


@pytest.mark.parametrize(
    "text",
    [
        "The answer is Paris. I like the explanation: it is short.",
        "Paris, says the Answer : or so.",
        "Answer Paris",
        "",
    ],
)
def test_the_same_words_in_free_prose_are_not_marked(text):
    assert FORM.spans(text) == [] and FORM.read(text).skeleton == () and FORM.read(text).token_share == 0.0


def test_spans_of_other_anchors():
    inline = Template((phrase("Answer", ":", anchor="sentence"), phrase("helps", "!", anchor="end")))
    assert marked(inline, "What is it? Answer: a lamp. It helps!") == ["Answer:", "helps!"]
    assert marked(inline, "This helps! Answer: no") == ["Answer:"]
    assert marked(inline, "v1.Answer: no") == [], "a full stop inside a word ends no sentence"


def test_longest_phrase_wins_and_neighbours_join():
    nested = Template((phrase("Sure", "!"), phrase("Sure", "!", "Here", "is"), phrase("Here", "is", anchor="sentence")))
    assert marked(nested, "Sure! Here is one. Here is two.") == ["Sure! Here is", "Here is"]
    assert marked(Template((phrase("A", ":"), phrase("B", ":"))), "A:\nB: x") == ["A:\nB:"]


def test_blank_lines_belong_to_the_label_that_they_open():
    assert marked(FORM, "Answer: Paris\n\n  Topic: x\n") == ["Answer:", "\n\n  Topic:"]


def test_skeleton_follows_coverage_and_share():
    assert FORM.read("Answer: Paris\nExplanation: because\nTopic: x").skeleton == (0, 1, 2)
    assert FORM.follows((0, 1)) and not FORM.follows((0, 1), k=1) and not FORM.follows((1, 0))
    assert FORM.coverage((0,)) == 0.5 and FORM.coverage((0, 2), k=1) == 2 / 3 and FORM.coverage(()) == 0.0
    assert FORM.read("Answer: a\nAnswer: b\nTopic: c").skeleton == (0, 2), "a repeated phrase counts once"
    assert FORM.read("Answer: Paris\nTopic: x").token_share == pytest.approx(5 / 7)
    assert FORM.read("A:\nAnswer:\nTopic:").token_share == pytest.approx(6 / 8), "no line break counts twice"
    assert FORM.render((0, 1, 2)) == "…\nAnswer : …\nExplanation : …\nTopic : …"


def test_planted_template_is_found_exactly():
    rng = random.Random(0)
    rows = [
        f"Answer: {p}\nExplanation: {q}\nTopic: {rng.choice(WORDS)}"
        for p, q in zip(prose(rng, 200), prose(rng, 200), strict=True)
    ]
    found = mine_template(rows, prose(rng, 200))
    assert [p.tokens for p in found.phrases] == [("Answer", ":"), ("Explanation", ":"), ("Topic", ":")]
    assert [p.position for p in found.phrases] == ["row start", "line start", "line start"]
    assert all(p.share == 1.0 and p.reference_share == 0.0 and p.z > 10 for p in found.phrases)
    assert found.render(found.skeletons[0][0]) == "Answer: …\nExplanation: …\nTopic: …"
    assert found.skeletons == (((0, 1, 2), 1.0),)


def test_several_templates_are_told_apart():
    rng = random.Random(1)
    moulds = ["Answer: {}", "Sure! Here is what I know: {} I hope this helps!", "## Summary\n- {}\n- {}\n- {}"]
    rows = [moulds[i % 3].format(*prose(rng, 3)) for i in range(600)]
    found = mine_template(rows, prose(rng, 600))
    rendered = [found.render(s) for s, _ in found.skeletons]
    assert set(rendered[:3]) == {
        "Answer: …",
        "Sure! Here is what I know: … I hope this helps!",
        "## Summary\n- …\n- …",
    }
    assert sum(share for _, share in found.skeletons[:3]) == pytest.approx(1.0)


def test_lists_of_any_length_are_one_template():
    rng = random.Random(2)
    rows = ["\n".join(f"{i}. {text}" for i, text in enumerate(prose(rng, rng.randint(2, 12)), 1)) for _ in range(150)]
    found = mine_template([r.replace(".\n", ". ") for r in rows], prose(rng, 150))
    assert any(p.tokens == ("1", ".") and p.anchor == "line" for p in found.phrases)


def test_a_label_inside_the_line_is_found():
    rng = random.Random(3)
    rows = [f"{' '.join(rng.choices(WORDS, k=6))}? Answer: {rng.choice(WORDS)}" for _ in range(200)]
    found = mine_template(rows, prose(rng, 200))
    assert [p.text for p in found.phrases] == ["Answer:"]
    assert found.phrases[0].position == "sentence start"


def test_what_the_reference_shares_is_no_template():
    rng = random.Random(4)
    both = [f"Question: {a}\nAnswer: {b}" for a, b in zip(prose(rng, 400), prose(rng, 400), strict=True)]
    assert mine_template(both[:200], both[200:]).phrases == ()
    marked_rows = [row + "\nTopic: x" for row in both[:200]]
    assert [p.text for p in mine_template(marked_rows, both[200:]).phrases] == ["Topic: x"]


def test_speech_is_no_layout():
    rng = random.Random(7)
    rows = [f"{a}\n“{b}”" for a, b in zip(prose(rng, 100), prose(rng, 100), strict=True)]
    assert not mine_template(rows, prose(rng, 100)).phrases
    assert mine_template([row.replace("“", "- ") for row in rows], prose(rng, 100)).phrases


@pytest.mark.parametrize("seed", range(5))
def test_no_template_is_invented(seed):
    rng = random.Random(seed)
    assert mine_template(prose(rng, 300), prose(rng, 300)) == Template()


def test_small_sets_suffice_for_a_plain_template_and_luck_does_not():
    rng = random.Random(5)
    assert mine_template([f"Answer: {t}" for t in prose(rng, 12)], prose(rng, 12)).phrases
    few = [f"Answer: {t}" for t in prose(rng, 3)] + prose(rng, 7)
    assert not mine_template(few, prose(rng, 10)).phrases


def test_evidence_goes_through_json_and_back():
    rng = random.Random(6)
    found = mine_template([f"Answer: {t}" for t in prose(rng, 60)], prose(rng, 60))
    evidence = json.loads(json.dumps(found.to_evidence()))
    assert Template.from_evidence(evidence) == found
    assert [t["token"] for t in evidence["structural_tokens"]] == ["Answer", ":"]
    assert evidence["template"] == "Answer: …"
    with pytest.raises(SettingsError, match="tokens.structural"):
        Template.from_evidence({})


def test_mistakes_are_refused():
    with pytest.raises(SettingsError, match="min_share"):
        mine_template(["a"], ["b"], min_share=0.0)
    with pytest.raises(TooFewRowsError, match="both sides"):
        mine_template([], ["b"])
