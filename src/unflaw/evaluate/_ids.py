"""Prompt files with IFEval or IFBench ids: what each id means in our constraints.

A file holds one JSON object per line with "key", "prompt", "instruction_id_list" and "kwargs" (one
dict per id), as IFEval (Zhou et al. 2023, arXiv:2311.07911) and IFBench (Pyatkin et al. 2025,
arXiv:2507.02833) publish them. Our checks follow the words of each instruction, not the code of
either project: words, sentences and credit for near-empty answers are defined in this room, so a
score is comparable with our own scores on the same file, not with a leaderboard.

Languages are told by their script, so an id that asks for one of several languages in Latin script
is not decidable here; neither is one that needs a grammar (`words:start_verb`) or knowledge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from string import ascii_lowercase
from typing import Any

from unflaw.evaluate._constraints import Constraint

__all__ = ["IDS", "constraint_for"]

Make = Callable[[Mapping[str, Any]], Constraint]

_CONJUNCTIONS = ("and", "but", "for", "nor", "or", "so", "yet")
_PRONOUNS = tuple(
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself they them their theirs themselves".split()
)
_SCRIPTS = {
    "ar": "ARABIC", "fa": "ARABIC", "ur": "ARABIC", "bg": "CYRILLIC", "ru": "CYRILLIC", "uk": "CYRILLIC",
    "mr": "DEVANAGARI", "ne": "DEVANAGARI", "hi": "DEVANAGARI", "bn": "BENGALI", "gu": "GUJARATI", "pa": "GURMUKHI",
    "ta": "TAMIL", "te": "TELUGU", "kn": "KANNADA", "th": "THAI", "ko": "HANGUL", "el": "GREEK", "he": "HEBREW",
    "zh": "CJK", "zh-cn": "CJK", "zh-tw": "CJK",
}  # fmt: skip


def _plain(kind: str, **params: Any) -> Make:
    """Make a constraint whose parameters the id fixes."""
    return lambda given: Constraint(kind, params)


def _renamed(kind: str, *, fixed: Mapping[str, Any] | None = None, **names: str) -> Make:
    """Make a constraint that takes its parameters from the file under other names: ours="theirs"."""
    return lambda given: Constraint(
        kind, {**(fixed or {}), **{ours: _whole(given[theirs]) for ours, theirs in names.items()}}
    )


def _bounded(least: str, most: str, count: str, relation: str, **names: str) -> Make:
    """Make a lower bound ("at least" n) or an upper one ("less than" n, so at most n - 1)."""

    def make(given: Mapping[str, Any]) -> Constraint:
        others = {ours: given[theirs] for ours, theirs in names.items()}
        if given[relation] == "at least":
            return Constraint(least, {**others, "n": int(given[count])})
        if given[relation] == "less than":
            return Constraint(most, {**others, "n": int(given[count]) - 1})
        raise ValueError(f"the relation {given[relation]!r} is neither 'at least' nor 'less than'")

    return make


def _capitals(given: Mapping[str, Any]) -> Constraint:
    n, many = int(given["capital_frequency"]), 10**6
    low, high = (n, many) if given["capital_relation"] == "at least" else (0, n - 1)
    return Constraint("capital_words", {"low": low, "high": high})


def _language(given: Mapping[str, Any]) -> Constraint:
    if given["language"] not in _SCRIPTS:
        raise ValueError(f"language {given['language']!r} cannot be told by its script")
    return Constraint("mostly_script", {"script": _SCRIPTS[given["language"]]})


def _options(given: Mapping[str, Any]) -> Constraint:
    text = str(given["options"])
    split = "/" if "/" in text else r"\bor\b" if re.search(r"\bor\b", text) else ","
    return Constraint("one_of", {"options": [o.strip() for o in re.split(split, text)]})


def _names(given: Mapping[str, Any]) -> Constraint:
    listed = re.search(r"from this list[^:.]*:\s*([^.]+)", given["prompt"])
    if listed is None:
        raise ValueError("the prompt lists no names after 'from this list'")
    return Constraint(
        "distinct_of_at_least", {"options": [n.strip() for n in listed[1].split(",")], "n": int(given["N"])}
    )


def _span(given: Mapping[str, Any]) -> Constraint:
    """Build the span of words, both ends included; the instruction leaves open whether counting starts at 0 or 1."""
    found, first, last = given["prompt_to_repeat"].split(), int(given["n_start"]), int(given["n_end"])
    return Constraint("one_of", {"options": [" ".join(found[first : last + 1]), " ".join(found[first - 1 : last])]})


def _five_keywords(given: Mapping[str, Any]) -> Constraint:
    times = zip(("keyword1", "keyword2", "keyword3", "keyword4", "keyword5"), (1, 2, 3, 5, 7), strict=True)
    return Constraint("keywords_exactly", {"counts": {given[k]: n for k, n in times}})


IDS: dict[str, Make] = {
    # IFEval
    "change_case:capital_word_frequency": _capitals,
    "change_case:english_capital": _plain("all_uppercase"),
    "change_case:english_lowercase": _plain("all_lowercase"),
    "combination:repeat_prompt": _renamed("repeats_request", request="prompt_to_repeat"),
    "combination:two_responses": _plain("two_responses"),
    "detectable_content:number_placeholders": _renamed("placeholders_at_least", n="num_placeholders"),
    "detectable_content:postscript": _renamed("postscript", marker="postscript_marker"),
    "detectable_format:constrained_response": _plain(
        "contains_any", phrases=["My answer is yes", "My answer is no", "My answer is maybe"]
    ),
    "detectable_format:json_format": _plain("json_object"),
    "detectable_format:multiple_sections": _renamed("sections_at_least", n="num_sections", marker="section_spliter"),
    "detectable_format:number_bullet_lists": _renamed("bullets_exactly", n="num_bullets"),
    "detectable_format:number_highlighted_sections": _renamed("highlights_at_least", n="num_highlights"),
    "detectable_format:title": _plain("titled"),
    "keywords:existence": _renamed("contains", phrases="keywords"),
    "keywords:forbidden_words": _renamed("avoids", phrases="forbidden_words"),
    "keywords:frequency": _bounded("keyword_at_least", "keyword_at_most", "frequency", "relation", word="keyword"),
    "keywords:letter_frequency": _bounded(
        "letter_at_least", "letter_at_most", "let_frequency", "let_relation", letter="letter"
    ),
    "language:response_language": _language,
    "length_constraints:nth_paragraph_first_word": _renamed(
        "paragraph_starts_with", n="nth_paragraph", word="first_word", total="num_paragraphs"
    ),
    "length_constraints:number_paragraphs": _renamed("starred_paragraphs", n="num_paragraphs"),
    "length_constraints:number_sentences": _bounded(
        "sentences_at_least", "sentences_at_most", "num_sentences", "relation"
    ),
    "length_constraints:number_words": _bounded("words_at_least", "words_at_most", "num_words", "relation"),
    "punctuation:no_comma": _plain("no_commas"),
    "startend:end_checker": _renamed("ends_with", phrase="end_phrase"),
    "startend:quotation": _plain("quoted"),
    # IFBench
    "count:conjunctions": _renamed("distinct_of_at_least", fixed={"options": _CONJUNCTIONS}, n="small_n"),
    "count:keywords_multiple": _five_keywords,
    "count:numbers": _renamed("numbers_exactly", n="N"),
    "count:person_names": _names,
    "count:pronouns": _renamed("total_of_at_least", fixed={"options": _PRONOUNS}, n="N"),
    "count:punctuation": _plain("punctuation_cover"),
    "count:unique_word_count": _renamed("unique_words_at_least", n="N"),
    "count:word_count_range": _renamed("words_between", low="min_words", high="max_words"),
    "count:words_japanese": _renamed("nth_words_script", fixed={"script": "HIRAGANA/KATAKANA/CJK"}, n="N"),
    "custom:csv_city": _plain("csv_table", columns=["ID", "Country", "City", "Year", "Count"], n=7),
    "custom:csv_quotes": _plain(
        "csv_table",
        columns=["StudentID", "Subject", "Grade", "Semester", "Score"],
        n=3,
        delimiter="\t",
        quote_all=True,
    ),
    "custom:date_format_list": _plain("date_list"),
    "custom:multiples": _plain("numbers_are", numbers=[14, 21, 28, 35, 42, 49]),
    "custom:sentence_alphabet": _plain("sentence_initials", letters=ascii_lowercase),
    "format:emoji": _plain("emoji_ends"),
    "format:line_indent": _plain("stairs"),
    "format:list": _renamed("separator_list", mark="sep"),
    "format:newline": _plain("words_on_lines"),
    "format:no_bullets_bullets": _plain("sentences_then_bullets", n=2),
    "format:no_whitespace": _plain("without_spaces"),
    "format:options": _options,
    "format:output_template": _plain("fills_template", labels=["My Answer:", "My Conclusion:", "Future Outlook:"]),
    "format:parentheses": _plain("nested_brackets", depth=5),
    "format:quote_unquote": _plain("quotes_explained"),
    "format:quotes": _plain("nested_quotes", depth=3),
    "format:sub-bullets": _plain("sub_bullets"),
    "format:thesis": _plain("italic_openings"),
    "format:title_case": _plain("title_case"),
    "ratio:overlap": _renamed("trigram_overlap", reference="reference_text", percent="percentage"),
    "ratio:sentence_balance": _plain("sentence_ratio", ratio=[1, 1, 1]),
    "ratio:sentence_type": _plain("sentence_ratio", ratio=[2, 1]),
    "ratio:sentence_words": _plain("equal_sentences", n=3),
    "ratio:stop_words": _renamed("stop_words_at_most", percent="percentage"),
    "repeat:repeat_change": _renamed("repeats_but_first_word", request="prompt_to_repeat"),
    "repeat:repeat_simple": _plain("one_of", options=["Only output this sentence here, ignore all other requests."]),
    "repeat:repeat_span": _span,
    "sentence:alliteration_increment": _plain("alliteration_growth"),
    "sentence:increment": _renamed("sentence_growth", n="small_n"),
    "sentence:keyword": _renamed("keyword_in_sentence", word="word", n="N"),
    "words:alphabet": _plain("alphabet_loop"),
    "words:consonants": _plain("consonant_clusters"),
    "words:keywords_specific_position": _renamed("keyword_at", word="keyword", sentence="n", position="m"),
    "words:last_first": _plain("sentence_chain"),
    "words:no_consecutive": _plain("neighbours_differ"),
    "words:odd_even_syllables": _plain("syllable_parity"),
    "words:palindrome": _plain("palindromes_at_least", n=10, length=5),
    "words:paragraph_last_first": _plain("paragraph_loops"),
    "words:prime_lengths": _plain("prime_word_lengths"),
    "words:repeats": _renamed("word_repeats_at_most", n="small_n"),
    "words:vowel": _plain("vowel_kinds_at_most", n=3),
    "words:words_position": _renamed("words_at", fixed={"positions": [2, -2]}, word="keyword"),
}
"""Id → how to make our constraint of its keyword arguments ("prompt" among them)."""


def constraint_for(id_: str, kwargs: Mapping[str, Any], prompt: str) -> Constraint | str:
    """Make the constraint an id asks for, or say in words why it cannot be made."""
    if id_ not in IDS:
        return "unknown id"
    try:
        return IDS[id_]({**kwargs, "prompt": prompt})
    except KeyError as missing:
        return f"`kwargs` lacks {missing}"
    except (ValueError, TypeError, AttributeError) as error:
        return str(error)


def _whole(value: Any) -> Any:
    """Read a count as the whole number it is: some files say 36.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
