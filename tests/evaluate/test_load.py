"""Files of prompts with IFEval and IFBench ids."""

import json

import pytest

from unflaw._errors import DataError
from unflaw.evaluate import load_prompts
from unflaw.evaluate._ids import IDS, constraint_for
from unflaw.evaluate._load import KINDS_OF_VALUE, TRIAL

# id, keyword arguments as the published files write them, an answer that meets them, one that does not
CASES = [
    ("keywords:existence", {"keywords": ["sea", "sky"]}, "sea and sky", "sea and land"),
    ("keywords:forbidden_words", {"forbidden_words": ["sea"]}, "land and sky", "sea and sky"),
    ("keywords:frequency", {"keyword": "sea", "frequency": 2, "relation": "at least"}, "sea sea sky", "one sea here"),
    ("keywords:frequency", {"keyword": "sea", "frequency": 2, "relation": "less than"}, "one sea here", "sea sea sky"),
    (
        "keywords:letter_frequency",
        {"letter": "z", "let_frequency": 1, "let_relation": "at least"},
        "a zoo here",
        "a park here",
    ),
    ("language:response_language", {"language": "ru"}, "море очень синее", "the sea is blue"),
    ("length_constraints:number_words", {"num_words": 4, "relation": "at least"}, "a b c d", "a b c"),
    ("length_constraints:number_words", {"num_words": 4, "relation": "less than"}, "a b c", "a b c d"),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "It is. No.", "It is so."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "one two\n***\nthree", "one two three"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"},
        "It is.\n\nSo be it.",
        "So it is.\n\nBe it.",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 1}, "my name is [name]", "my name is Bo"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "It is.\nP.P.S so be it", "It is. So be it"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* one two\n* three", "* one two three"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "I do not know."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, "the *red* sea", "the red sea"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1\na b\nSECTION 2\nc d",
        "SECTION 1 only",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "a is one"),
    ("detectable_format:title", {}, "<<sea>> it is blue", "sea: it is blue"),
    ("combination:two_responses", {}, "one two\n******\nthree", "one two three"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Go on."}, "Go on. I will do so.", "I will do so."),
    ("startend:end_checker", {"end_phrase": "the end."}, "This is the end.", "The end is near."),
    ("startend:quotation", {}, '"the red sea"', "the red sea"),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "less than"},
        "the BIG sea",
        "THE BIG sea",
    ),
    ("change_case:english_capital", {}, "THE RED SEA", "The Red Sea"),
    ("change_case:english_lowercase", {}, "the red sea", "The red sea"),
    ("punctuation:no_comma", {}, "the red sea", "the red, red sea"),
    ("count:word_count_range", {"min_words": 3.0, "max_words": 4.0}, "a b c", "a b c d e"),
    ("count:keywords_multiple", {f"keyword{i}": w for i, w in enumerate("vwxyz", 1)},
     "v w w x x x y y y y y z z z z z z z", "v w x y z"),
    ("format:options", {"options": "yes/no/maybe"}, "Maybe", "yes and no"),
    ("format:options", {"options": "I know or I don't know"}, "I don't know.", "nobody can know"),
    ("count:conjunctions", {"small_n": 2.0}, "this or that and so", "this and that and"),
    ("repeat:repeat_span", {"n_start": 1, "n_end": 2, "prompt_to_repeat": "a b c d"}, "b c", "b c d"),
    ("ratio:sentence_balance", {}, "It is. Is it? It is!", "It is. It is. Is it?"),
    ("words:words_position", {"keyword": "sea"}, "The sea is a sea now", "The sea is a sky now"),
    ("count:words_japanese", {"N": 2.0}, "the 海 is あお", "the sea is blue"),
]  # fmt: skip


@pytest.mark.parametrize(("id_", "kwargs", "met", "broken"), CASES)
def test_an_id_means_what_it_says(id_, kwargs, met, broken):
    constraint = constraint_for(id_, kwargs, "a prompt")
    assert constraint.met(met) and not constraint.met(broken)


def test_every_ifeval_id_is_covered():
    ours = {id_ for id_ in IDS if id_.split(":")[0] in {case[0].split(":")[0] for case in CASES[:27]}}
    assert ours <= {case[0] for case in CASES} and len(ours) == 25


def test_names_are_taken_from_the_prompt():
    prompt = "Mention at least 2 names, from this list of person names: Emma, Liam, Mia ."
    constraint = constraint_for("count:person_names", {"N": 2.0}, prompt)
    assert constraint.met("Emma met Mia") and not constraint.met("Emma met Bo")
    assert "lists no names" in constraint_for("count:person_names", {"N": 2.0}, "no list")


@pytest.mark.parametrize(
    ("id_", "kwargs", "says"),
    [
        ("words:start_verb", {}, "unknown id"),
        ("keywords:existence", {}, "lacks 'keywords'"),
        ("keywords:frequency", {"keyword": "a", "frequency": 1, "relation": "more"}, "neither"),
        ("language:response_language", {"language": "fi"}, "script"),
    ],
)
def test_what_cannot_be_checked_is_said(id_, kwargs, says):
    assert says in constraint_for(id_, kwargs, "a prompt")


def write(path, *records):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records), encoding="utf-8")
    return path


def record(key, *ids, **kwargs):
    return {"key": key, "prompt": f"prompt {key}", "instruction_id_list": ids, "kwargs": [kwargs for _ in ids]}


def test_a_file_is_read(tmp_path):
    path = write(
        tmp_path / "p.jsonl", record(1, "punctuation:no_comma", "startend:quotation"), "", record(2, "format:emoji")
    )
    loaded = load_prompts(path)
    assert [(i.id, i.level, i.prompt, len(i.constraints)) for i in loaded.items] == [
        ("1", 2, "prompt 1", 2),
        ("2", 1, "prompt 2", 1),
    ]
    assert loaded.skipped == {}


def test_unknown_ids_are_listed_and_left_out_only_when_asked(tmp_path):
    good, bad = record(1, "punctuation:no_comma"), record(2, "punctuation:no_comma", "punctuation:no_coma")
    path = write(tmp_path / "p.jsonl", good, bad)
    with pytest.raises(
        DataError, match=r"1 of 2 prompts(.|\n)*no_coma: unknown id(.|\n)*Did you mean 'punctuation:no_comma'"
    ):
        load_prompts(path)
    loaded = load_prompts(path, allow_unknown=True)
    assert [i.id for i in loaded.items] == ["1"] and "no_coma" in loaded.skipped["2"]
    with pytest.raises(DataError, match="no prompt that can be checked; 1 "):
        load_prompts(write(path, bad), allow_unknown=True)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1 must be a JSON object"),
        ("[1]", "got list"),
        ('{"prompt": "p"}', "lacks"),
        ('{"prompt": "p", "instruction_id_list": ["a"], "kwargs": []}', "1 ids and 0 kwargs"),
        ('{"prompt": 1, "instruction_id_list": ["a"], "kwargs": [{}]}', "text `prompt`"),
        ('{"prompt": "p", "instruction_id_list": [["a"]], "kwargs": [{}]}', "texts in `instruction_id_list`"),
        ('{"prompt": "p", "instruction_id_list": ["a"], "kwargs": ["n"]}', "objects or null in `kwargs`"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, says):
    with pytest.raises(DataError, match=says):
        load_prompts(write(tmp_path / "p.jsonl", line))


def test_a_missing_binary_or_repeating_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_prompts(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        load_prompts(tmp_path / "binary")
    twice = record(1, "format:emoji")
    with pytest.raises(DataError, match="more than once"):
        load_prompts(write(tmp_path / "p.jsonl", twice, twice))


def test_breaks_inside_a_text_end_no_line(tmp_path):
    """U+2028 and U+0085 stand unescaped in JSON that others write; the file may open with a byte order mark."""
    first = record(1, "startend:end_checker", end_phrase="so\u2028be\u0085it")
    lines = [json.dumps(r, ensure_ascii=False) for r in (first, record(2, "format:emoji"))]
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    loaded = load_prompts(path)
    assert [i.id for i in loaded.items] == ["1", "2"]
    assert loaded.items[0].constraints[0].params == {"phrase": "so\u2028be\u0085it"}


def test_every_broken_line_is_named_at_once(tmp_path):
    path = write(tmp_path / "p.jsonl", "{", record(1, "format:emoji"), '"text"', "[1]")
    with pytest.raises(DataError, match=r"3 broken lines:\n  - line 1 must be(.|\n)*- line 3 .*str\n  - line 4 .*list"):
        load_prompts(path)


@pytest.mark.parametrize("count", [3, 3.0, "3", " 3.0 "])
@pytest.mark.parametrize(
    ("id_", "name", "more", "params"),
    [
        ("length_constraints:number_paragraphs", "num_paragraphs", {}, {"n": 3}),
        ("length_constraints:number_words", "num_words", {"relation": "at least"}, {"n": 3}),
        ("change_case:capital_word_frequency", "capital_frequency", {"capital_relation": "less than"},
         {"low": 0, "high": 2}),
        ("keywords:frequency", "frequency", {"relation": "at least", "keyword": "3"}, {"word": "3", "n": 3}),
        ("ratio:stop_words", "percentage", {}, {"percent": 3}),
    ],
)  # fmt: skip
def test_a_count_may_be_written_in_several_ways(tmp_path, id_, name, more, params, count):
    """And a keyword that looks like a count stays text."""
    (item,) = load_prompts(write(tmp_path / "p.jsonl", record(1, id_, **{name: count}, **more))).items
    assert item.constraints[0].params == params


@pytest.mark.parametrize(
    ("id_", "kwargs", "says"),
    [
        ("sentence:increment", {"small_n": None}, "`small_n` must be a whole number, got null"),
        ("sentence:increment", {"small_n": 3.7}, "`small_n` must be a whole number, got 3.7"),
        ("sentence:increment", {"small_n": "three"}, '`small_n` must be a whole number, got "three"'),
        ("sentence:increment", {"small_n": float("inf")}, "`small_n` must be a whole number, got Infinity"),
        ("length_constraints:number_words", {"num_words": 3.7, "relation": "at least"}, "`num_words` .*, got 3.7"),
        ("length_constraints:number_words", {"num_words": True, "relation": None}, "`num_.* true; `relation` .*null"),
        ("ratio:stop_words", {"percentage": "few"}, '`percentage` must be a number, got "few"'),
        ("keywords:existence", {"keywords": "sea"}, '`keywords` must be a list of texts, got "sea"'),
        ("keywords:existence", {"keywords": ["sea", 1]}, "`keywords` must be a list of texts"),
        ("format:list", {"sep": 5}, "`sep` must be a text, got 5"),
        ("count:words_japanese", {"N": 0}, "its check fails with these `kwargs`: slice step"),
        ("keywords:existence", {}, "`kwargs` lacks 'keywords'"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_found_on_loading(tmp_path, id_, kwargs, says):
    path = write(tmp_path / "p.jsonl", "", record("q7", id_, **kwargs))
    with pytest.raises(DataError, match=rf"{id_}: .*{says}.* \(line 2 \(key q7\)\)"):
        load_prompts(path)


def test_all_wrong_parameters_are_told_at_once(tmp_path):
    wrong = [record(i, "length_constraints:number_paragraphs", num_paragraphs=None) for i in range(5)]
    other = record("x", "keywords:existence", keywords=None)
    with pytest.raises(DataError) as error:
        load_prompts(write(tmp_path / "p.jsonl", *wrong, record(9, "format:emoji"), other))
    assert "in 6 of 7 prompts" in str(error.value)
    assert "(line 1 (key 0), line 2 (key 1), line 3 (key 2) and 2 more)" in str(error.value)
    assert "`keywords` must be a list of texts, got null (line 7 (key x))" in str(error.value)


def test_null_fills_up_what_an_id_does_not_use(tmp_path):
    """So the published IFEval table on the hub writes it; a `key` of null is none."""
    full = {"num_paragraphs": None, "keywords": None, "relation": None}
    (item,) = load_prompts(write(tmp_path / "p.jsonl", record(None, "punctuation:no_comma", **full))).items
    assert item.id == "1" and item.constraints[0].params == {}


@pytest.mark.parametrize(("id_", "kwargs"), [case[:2] for case in CASES])
def test_every_published_parameter_has_a_kind(id_, kwargs):
    assert set(kwargs) <= set(KINDS_OF_VALUE)
    constraint = constraint_for(id_, kwargs, "a prompt")
    constraint.met(TRIAL)
