"""The kinds of constraint: for each its check, how to ask for it, and an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unflaw.evaluate import _check_format as form
from unflaw.evaluate import _check_length as length
from unflaw.evaluate import _check_play as play
from unflaw.evaluate import _check_words as wording

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One kind of constraint."""

    check: Callable[..., bool]
    """`check(response, **params) -> bool`; its docstring is the rule in the docs."""
    ask: str
    """The request, with {params} to fill in."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that show it at work, in docs and tests."""
    brief: bool = False
    """Whether an answer of one or two words may meet it."""


KINDS: dict[str, Kind] = {
    # length
    "words_at_least": Kind(length.words_at_least, "Use at least {n} words.", {"n": 5}),
    "words_at_most": Kind(length.words_at_most, "Use no more than {n} words.", {"n": 6}),
    "words_between": Kind(length.words_between, "Use between {low} and {high} words.", {"low": 4, "high": 6}),
    "sentences_at_least": Kind(length.sentences_at_least, "Write at least {n} sentences.", {"n": 2}),
    "sentences_at_most": Kind(length.sentences_at_most, "Write no more than {n} sentences.", {"n": 2}),
    "sentences_exactly": Kind(length.sentences_exactly, "Write exactly {n} sentences.", {"n": 2}),
    "sentence_words_at_most": Kind(
        length.sentence_words_at_most, "Keep every sentence to {n} words or fewer.", {"n": 4}
    ),
    "sentence_growth": Kind(
        length.sentence_growth, "Make each sentence {n} words longer than the one before it.", {"n": 1}
    ),
    "paragraphs_exactly": Kind(
        length.paragraphs_exactly, "Write exactly {n} paragraphs; a blank line ends a paragraph.", {"n": 2}
    ),
    "starred_paragraphs": Kind(length.starred_paragraphs, "Write {n} paragraphs and put *** between them.", {"n": 2}),
    "paragraph_starts_with": Kind(
        length.paragraph_starts_with,
        'Write {total} paragraphs with a blank line between them, and start paragraph {n} with the word "{word}".',
        {"n": 2, "word": "later", "total": 2},
    ),
    "lines_exactly": Kind(length.lines_exactly, "Write exactly {n} lines.", {"n": 2}),
    "characters_at_most": Kind(length.characters_at_most, "Use no more than {n} characters.", {"n": 20}),
    "word_length_at_most": Kind(length.word_length_at_most, "Use no word of more than {n} letters.", {"n": 5}),
    "unique_words_at_least": Kind(length.unique_words_at_least, "Use at least {n} different words.", {"n": 4}),
    "word_repeats_at_most": Kind(length.word_repeats_at_most, "Use no word more than {n} times.", {"n": 2}),
    "sentence_ratio": Kind(
        length.sentence_ratio, "Keep statements, questions and exclamations in the ratio {ratio}.", {"ratio": [2, 1]}
    ),
    "equal_sentences": Kind(
        length.equal_sentences, "Write {n} sentences of the same length in characters, no word twice.", {"n": 2}
    ),
    # wording
    "contains": Kind(wording.contains, "Include {phrases}.", {"phrases": ["garden"]}),
    "avoids": Kind(wording.avoids, "Do not use {phrases}.", {"phrases": ["garden"]}),
    "keyword_at_least": Kind(
        wording.keyword_at_least, 'Use the word "{word}" at least {n} times.', {"word": "sun", "n": 2}
    ),
    "keyword_at_most": Kind(
        wording.keyword_at_most, 'Use the word "{word}" no more than {n} times.', {"word": "sun", "n": 1}
    ),
    "keyword_exactly": Kind(
        wording.keyword_exactly, 'Use the word "{word}" exactly {n} times.', {"word": "sun", "n": 2}
    ),
    "letter_at_least": Kind(
        wording.letter_at_least, 'Use the letter "{letter}" at least {n} times.', {"letter": "z", "n": 2}
    ),
    "letter_at_most": Kind(
        wording.letter_at_most, 'Use the letter "{letter}" no more than {n} times.', {"letter": "e", "n": 2}
    ),
    "starts_with": Kind(wording.starts_with, 'Start your answer with "{phrase}".', {"phrase": "In short"}),
    "ends_with": Kind(wording.ends_with, 'End your answer with "{phrase}".', {"phrase": "that is all"}),
    "first_word_in": Kind(
        wording.first_word_in, "Let the first word be one of these: {options}.", {"options": ["yes", "no"]}, brief=True
    ),
    "one_of": Kind(
        wording.one_of, "Answer with one of these and nothing else: {options}.", {"options": ["yes", "no"]}, brief=True
    ),
    "repeats_request": Kind(
        wording.repeats_request,
        'First repeat this request word for word, then answer it: "{request}"',
        {"request": "Name a sea bird."},
    ),
    "all_lowercase": Kind(wording.all_lowercase, "Write in lowercase letters only."),
    "all_uppercase": Kind(wording.all_uppercase, "Write in CAPITAL letters only."),
    "title_case": Kind(wording.title_case, "Start every word of four or more letters with a capital."),
    "capital_words": Kind(
        wording.capital_words, "Write from {low} to {high} words in ALL CAPITALS.", {"low": 1, "high": 2}
    ),
    "no_commas": Kind(wording.no_commas, "Do not use commas."),
    "no_digits": Kind(wording.no_digits, "Do not use digits."),
    "has_number": Kind(wording.has_number, "Include a number written in digits."),
    "numbers_exactly": Kind(wording.numbers_exactly, "Include exactly {n} numbers in digits.", {"n": 2}),
    "no_exclamation": Kind(wording.no_exclamation, "Do not use exclamation marks."),
    "question_end": Kind(wording.question_end, "End with a question."),
    "ascii_only": Kind(wording.ascii_only, "Use only the letters and signs of an English keyboard."),
    "without_spaces": Kind(wording.without_spaces, "Do not use any spaces.", brief=True),
    "mostly_script": Kind(wording.mostly_script, "Write in {script} script.", {"script": "GREEK"}),
    "contains_any": Kind(wording.contains_any, "Include one of these: {phrases}.", {"phrases": ["sun", "moon"]}),
    "distinct_of_at_least": Kind(
        wording.distinct_of_at_least,
        "Use at least {n} different ones of {options}.",
        {"options": ["and", "or"], "n": 2},
    ),
    "total_of_at_least": Kind(
        wording.total_of_at_least, "Use {options} at least {n} times in all.", {"options": ["we", "us"], "n": 2}
    ),
    "keywords_exactly": Kind(
        wording.keywords_exactly, "Use these words as often as it says: {counts}.", {"counts": {"sun": 1, "moon": 2}}
    ),
    "words_at": Kind(
        wording.words_at,
        'Use the word "{word}" at these places (-1 is the last word): {positions}.',
        {"word": "sun", "positions": [2, -2]},
    ),
    "keyword_in_sentence": Kind(
        wording.keyword_in_sentence, 'Use the word "{word}" in sentence {n}.', {"word": "sun", "n": 2}
    ),
    "keyword_at": Kind(
        wording.keyword_at,
        'Let word {position} of sentence {sentence} be "{word}".',
        {"word": "sun", "sentence": 1, "position": 2},
    ),
    "stop_words_at_most": Kind(
        wording.stop_words_at_most, "Let stop words be at most {percent} % of the words.", {"percent": 50.0}
    ),
    "trigram_overlap": Kind(
        wording.trigram_overlap,
        "Let {percent} % of the three-character runs be shared with this text: {reference}",
        {"reference": "the sea is blue", "percent": 50.0},
    ),
    "punctuation_cover": Kind(wording.punctuation_cover, "Use every mark of . , ; : ? ! and ?! at least once."),
    "emoji_ends": Kind(wording.emoji_ends, "End every sentence with an emoji."),
    "nth_words_script": Kind(
        wording.nth_words_script, "Write every {n}th word in {script} script.", {"n": 2, "script": "GREEK"}
    ),
    "repeats_but_first_word": Kind(
        wording.repeats_but_first_word,
        'Repeat this with another first word and add nothing: "{request}"',
        {"request": "Name a sea bird."},
    ),
    "numbers_are": Kind(
        wording.numbers_are, "Give these numbers in this order: {numbers}.", {"numbers": [7, 14]}, brief=True
    ),
    # form
    "bullets_exactly": Kind(form.bullets_exactly, "Answer with exactly {n} bullet points.", {"n": 2}),
    "numbered_list": Kind(form.numbered_list, "Answer with a numbered list of exactly {n} items.", {"n": 2}),
    "separator_list": Kind(
        form.separator_list, 'Answer with a list and put "{mark}" in front of each item.', {"mark": "=>"}
    ),
    "sub_bullets": Kind(form.sub_bullets, "Use * bullet points, each with at least one - point below it."),
    "json_object": Kind(form.json_object, "Answer with one JSON object and nothing else.", brief=True),
    "json_with_keys": Kind(
        form.json_with_keys,
        "Answer with one JSON object that has the keys {keys} and nothing else.",
        {"keys": ["name", "reason"]},
        brief=True,
    ),
    "csv_table": Kind(
        form.csv_table, "Answer with CSV: the columns {columns}, then {n} rows.", {"columns": ["a", "b"], "n": 1}
    ),
    "heading": Kind(form.heading, "Put a markdown heading (#) on top."),
    "titled": Kind(form.titled, "Give it a title in double angle brackets, as in <<title>>."),
    "highlights_at_least": Kind(
        form.highlights_at_least, "Highlight at least {n} parts with asterisks, as in *this part*.", {"n": 2}
    ),
    "placeholders_at_least": Kind(
        form.placeholders_at_least, "Leave at least {n} placeholders in square brackets, as in [name].", {"n": 2}
    ),
    "postscript": Kind(form.postscript, "Close with a postscript that starts with {marker}", {"marker": "P.S."}),
    "quoted": Kind(form.quoted, "Put the whole answer in double quotation marks."),
    "sections_at_least": Kind(
        form.sections_at_least,
        "Write {n} sections headed {marker} 1, {marker} 2 and so on.",
        {"n": 2, "marker": "PART"},
    ),
    "table": Kind(form.table, "Answer with a markdown table."),
    "two_responses": Kind(form.two_responses, "Give two different answers with ****** between them."),
    "fills_template": Kind(
        form.fills_template, "Fill in this template, in this order: {labels}.", {"labels": ["Reason:", "Result:"]}
    ),
    "words_on_lines": Kind(form.words_on_lines, "Put every word on a line of its own."),
    "stairs": Kind(form.stairs, "Indent every line further than the one before it."),
    "nested_brackets": Kind(form.nested_brackets, "Nest brackets {depth} deep.", {"depth": 2}),
    "nested_quotes": Kind(form.nested_quotes, "Nest quotes {depth} deep, double and single in turn.", {"depth": 2}),
    "quotes_explained": Kind(form.quotes_explained, "Quote something, and explain each quotation after it."),
    "italic_openings": Kind(form.italic_openings, "Open with a thesis in HTML italics."),
    "sentences_then_bullets": Kind(
        form.sentences_then_bullets, "Write at least {n} sentences, then at least {n} * bullet points.", {"n": 2}
    ),
    "date_list": Kind(form.date_list, "Give only dates as YYYY-MM-DD, separated by commas.", brief=True),
    # play
    "line_initials": Kind(
        play.line_initials, 'Let the first letters of the lines spell "{letters}".', {"letters": "sea"}
    ),
    "sentence_initials": Kind(
        play.sentence_initials, 'Let the first letters of the sentences spell "{letters}".', {"letters": "sea"}
    ),
    "alphabet_loop": Kind(play.alphabet_loop, "Start each word with the next letter of the alphabet."),
    "neighbours_differ": Kind(play.neighbours_differ, "Let no two words in a row start with the same letter."),
    "palindromes_at_least": Kind(
        play.palindromes_at_least,
        "Use at least {n} palindromes of {length} letters or more.",
        {"n": 1, "length": 5},
    ),
    "sentence_chain": Kind(play.sentence_chain, "Start each sentence with the last word of the one before it."),
    "paragraph_loops": Kind(play.paragraph_loops, "End each line with the word it starts with."),
    "consonant_clusters": Kind(play.consonant_clusters, "Use only words with two consonants in a row."),
    "prime_word_lengths": Kind(play.prime_word_lengths, "Use only words whose number of letters is prime."),
    "vowel_kinds_at_most": Kind(play.vowel_kinds_at_most, "Use only {n} different vowels.", {"n": 3}),
    "alliteration_growth": Kind(
        play.alliteration_growth, "Give each sentence a longer alliteration than the one before it."
    ),
    "syllable_parity": Kind(
        play.syllable_parity, "Alternate between words with an odd and an even number of syllables."
    ),
}
"""Name → kind; the names are what files and docs speak of."""
