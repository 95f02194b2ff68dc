"""Every kind of constraint with an answer that meets it, one that does not, and an edge."""

import pytest

from unflaw.evaluate import KINDS, Constraint
from unflaw.evaluate._pieces import sentences, words

BULLETS = "* red sea\n* blue sea"

# kind → (parameters, or None for the kind's example; met; not met; edge; whether the edge is met)
CASES = {
    "words_at_least": ({"n": 4}, "one two three four", "one two three", "don't split well-known words", True),
    "words_at_most": ({"n": 3}, "one two three", "one two three four", "a, b — c !", True),
    "words_between": ({"low": 3, "high": 4}, "one two three", "one two three four five", "one two three four", True),
    "sentences_at_least": ({"n": 2}, "It is. It was.", "It is here now", "First line\nSecond line", True),
    "sentences_at_most": ({"n": 1}, "It costs 3.50 today.", "It is. It was.", "Dr. Lee is here.", True),
    "sentences_exactly": ({"n": 2}, "It is. Was it?", "It is. It was. So.", 'He said "no." Then left.', True),
    "sentence_words_at_most": ({"n": 3}, "One two three. Four.", "One two three four.", "One two\nthree four", True),
    "sentence_growth": ({"n": 1}, "One. One two. One two three.", "One two. One.", "Only one sentence.", False),
    "paragraphs_exactly": ({"n": 2}, "one two\n\nthree", "one two\nthree", "one\n \n\nthree four", True),
    "starred_paragraphs": ({"n": 2}, "one two\n***\nthree", "one two\n\nthree", "one ***\n*** two three", False),
    "paragraph_starts_with": (
        {"n": 2, "word": "later", "total": 2}, "At first.\n\nLater on.", "Later on.\n\nAt first.",
        "later on it is", False,
    ),
    "lines_exactly": ({"n": 2}, "one two\nthree", "one two three", "one two\n\n\nthree\n", True),
    "characters_at_most": ({"n": 9}, "one two 3", "one two 34", "  one two 3 \n", True),
    "word_length_at_most": ({"n": 4}, "this is fine", "this is finer", "wow... it is", True),
    "unique_words_at_least": ({"n": 3}, "one two three", "one two two", "One one ONE two", False),
    "word_repeats_at_most": ({"n": 2}, "the sea the sky", "the sea the sky the end", "The the THE", False),
    "sentence_ratio": ({"ratio": [2, 1]}, "It is. It was. Was it?", "It is. Was it?", "It was! It is!", False),
    "equal_sentences": ({"n": 2}, "The sea. Our sky.", "The sea. The sky.", "The sea. A day. Go on.", False),
    "contains": ({"phrases": ["sea", "sky"]}, "a Sea and a SKY", "a sea and a lake", "seaside skyline here", False),
    "avoids": ({"phrases": ["the"]}, "a sea there", "at the sea", "The. End. Now.", False),
    "keyword_at_least": ({"word": "sun", "n": 2}, "Sun after sun", "only one sun", "sunny sunday sun", False),
    "keyword_at_most": ({"word": "sun", "n": 1}, "only one sun", "sun after sun", "sunny sunday sun", True),
    "keyword_exactly": ({"word": "sun", "n": 2}, "Sun after sun.", "sun sun sun", "sun-sun sets now", True),
    "letter_at_least": ({"letter": "z", "n": 2}, "a Zebra zoo", "a zebra park", "pizza for two", True),
    "letter_at_most": ({"letter": "e", "n": 1}, "only our hen", "were e we", "ONE more there", False),
    "starts_with": ({"phrase": "In short"}, "In short, it is.", "It is, in short.", '**"in SHORT** yes', True),
    "ends_with": ({"phrase": "the end"}, "This is THE END.", "The end is near.", 'Here is "the end!"', True),
    "first_word_in": ({"options": ["yes", "no"]}, "Yes, it is.", "It is, yes.", "No", True),
    "one_of": ({"options": ["yes", "no"]}, "Yes.", "yes and no", ' "NO" ', True),
    "repeats_request": ({"request": "Name a bird."}, "name a  bird. A gull.", "A gull. Name a bird.", "Name a", False),
    "all_lowercase": (None, "only small letters, 3", "One big letter", "1 2 3 4", False),
    "all_uppercase": (None, "ALL BIG LETTERS!", "ALL BIG LETTERs", "1 2 3 4", False),
    "title_case": (None, "The Sea is Blue", "The ocean is Blue", "of Mice and Men", False),
    "capital_words": ({"low": 1, "high": 2}, "this is VERY good", "this is good", "A cat I saw", False),
    "no_commas": (None, "no such mark here", "one, two three", "one、two three four", False),
    "no_digits": (None, "no such sign", "the 3 signs", "one ² two three", False),
    "has_number": (None, "the 3 signs", "the three signs", "room B2 is here", True),
    "numbers_exactly": ({"n": 2}, "from 3.5 to 1,000 m", "from 3 to 4 to 5", "3 3 in all", True),
    "no_exclamation": (None, "quite calm here.", "not calm at all!", "full width here！", False),
    "question_end": (None, "is it so?", "is it? it is.", 'he asked "is it?"', True),
    "ascii_only": (None, "plain old text", "a naïve idea here", "it’s “fine” — yes…", True),
    "without_spaces": (None, "one_word", "two words", " padded\n", True),
    "mostly_script": ({"script": "GREEK"}, "η θάλασσα είναι μπλε", "the sea is blue", "η sea is blue now", False),
    "contains_any": ({"phrases": ["sun", "moon"]}, "the moon is up", "the star is up", "sunny moonlit night", False),
    "distinct_of_at_least": (
        {"options": ["and", "or"], "n": 2}, "this or that and so", "and so and on", "AND or one", True,
    ),
    "total_of_at_least": ({"options": ["we", "us"], "n": 2}, "we saw we won", "we saw it", "We for us all", True),
    "keywords_exactly": ({"counts": {"sun": 1, "sea": 2}}, "sea sun Sea", "sea sun sky", "sea sun sea sun", False),
    "words_at": ({"word": "sun", "positions": [2, -2]}, "The sun is a sun god", "sun is a sun", "A sun here", True),
    "keyword_in_sentence": ({"word": "sun", "n": 2}, "It is. The sun.", "The sun. It is.", "The sun is one.", False),
    "keyword_at": (
        {"word": "sun", "sentence": 2, "position": 2}, "It is. The sun is.", "It is. Sun is.", "The sun is one.", False,
    ),
    "stop_words_at_most": ({"percent": 50.0}, "the blue sea", "it is the sea", "the blue sea is", True),
    "trigram_overlap": (  # 4 of the first answer's 8 runs are in the reference, 4 of the last one's 10
        {"reference": "abcdef", "percent": 50.0}, "abcdef g h", "one two three", "abcdef abc def", False,
    ),
    "punctuation_cover": (None, "a, b; c: d. e? f! g?!", "a, b. c? d!", "a, b; c: d. e?! f", True),
    "emoji_ends": (None, "It is 😀. It was 🌊", "It is 😀. It was.", "It is so. 🌊", True),
    "nth_words_script": ({"n": 2, "script": "GREEK"}, "one δύο three", "one two three", "one δύο! three τέσσερα", True),
    "repeats_but_first_word": ({"request": "Name a bird."}, "Draw a bird.", "Name a bird.", "Draw a bird. Ok", False),
    "numbers_are": ({"numbers": [7, 14]}, "7, 14", "14, 7", "7 14 21", False),
    "bullets_exactly": ({"n": 2}, BULLETS, "* only one sea", "**bold** one\n- two three", False),
    "numbered_list": ({"n": 2}, "1. red sea\n2. blue", "1. red sea\n3. blue", "1) red sea\n 2) blue", True),
    "separator_list": ({"mark": "=>"}, "=> red sea\n=> blue", "=> red sea only", "red sea => blue =>", True),
    "sub_bullets": (None, "* red sea\n  - salt", "* red sea\n* blue", "- red\n- blue sea", False),
    "json_object": (None, '{"a": 1}', "[1, 2, 3]", '```json\n{"a": {}}\n```', True),
    "json_with_keys": ({"keys": ["a"]}, '{"a": 1, "b": 2}', '{"b": 1}', "a: 1 is not JSON", False),
    "csv_table": ({"columns": ["a", "b"], "n": 1}, "a,b\n1,2", "a,b\n1", 'a,b\n"1,5",2', True),
    "heading": (None, "# The red sea", "The red sea", "#nospace is no heading", False),
    "titled": (None, "<<The sea>> is red", "<The sea> is red", "<<>> The red sea", False),
    "highlights_at_least": ({"n": 2}, "a *red* and **blue** sea", "a *red* sea only", "a ** b ** red *sea*", True),
    "placeholders_at_least": ({"n": 2}, "[name] lives in [town]", "[name] lives here", "[] and [one] here", False),
    "postscript": (
        {"marker": "P.S."}, "The sea.\nP.S. It is red", "The sea is red P.S.", "It is so.\np. s. it is", True,
    ),
    "quoted": (None, '"the sea is red"', '"the sea" is red', "“the sea is red”", True),
    "sections_at_least": (
        {"n": 2, "marker": "PART"}, "Part 1 sea\nPART 2 sky", "Part 1\nPart 1", "apart 1 part 2", False,
    ),
    "table": (None, "| a | b |\n|---|---|\n| 1 | 2 |", "| a | b | c |", "a | b\n--|--\nc | d", True),
    "two_responses": (None, "red sea\n******\nblue sea", "red sea and blue", "red sea\n******\nred sea", False),
    "fills_template": (
        {"labels": ["Why:", "So:"]}, "Why: it rains. So: stay", "So: stay. Why: it rains",
        "Why: So: stay at home", False,
    ),
    "words_on_lines": (None, "the\nred\nsea", "the red\nsea", "three-in-one", False),
    "stairs": (None, "the\n red\n  sea", "the\n red\n sea", "one line only", False),
    "nested_brackets": ({"depth": 2}, "the (red [sea])", "the (red) [sea]", "the (red [sea)]", False),
    "nested_quotes": (
        {"depth": 2}, "he said \"it's 'fine' here\"", "he said \"it's fine here\"", "“one ‘two’ three”", True,
    ),
    "quotes_explained": (None, 'a "sea" is wet', 'wet is the "sea"', 'a "sea" "sky" is', False),
    "italic_openings": (None, "<i>Seas rise.</i> They do.", "Seas rise. They do.", "<em>Seas rise now.</em>", False),
    "sentences_then_bullets": (
        {"n": 2}, "It is. It was.\n* red\n* blue", "It is.\n* red\n* blue", "* red\n* blue\nIt is. It was.", False,
    ),
    "date_list": (None, "1805-10-21, 1815-06-18", "21 October 1805", "1805-10-21, 1815-06-18, or so", False),
    "line_initials": ({"letters": "sea"}, "Salt\nEvery\nAny", "Salt\nAny\nEvery", "- salt\n- every\n- any", True),
    "sentence_initials": ({"letters": "so"}, "Sea is. Or not.", "Or sea. Sea is.", '"Sea." (Or not now.)', True),
    "alphabet_loop": (None, "A big cat", "A cat big", "yes zebras amble", True),
    "neighbours_differ": (None, "the red sea", "the turquoise sea", "Two three 4 four", False),
    "palindromes_at_least": (
        {"n": 1, "length": 5}, "my Level is high", "my level-headed mom", "kayaking at noon", False,
    ),
    "sentence_chain": (None, "I saw sea. Sea is red.", "I saw sea. It is.", "Only one sentence.", False),
    "paragraph_loops": (None, "red is red\nsea, my sea.", "red is red\nblue sea", "*** \nred is red", False),
    "consonant_clusters": (None, "calm north wind", "a calm sea", "CALM 3 north winds", True),
    "prime_word_lengths": (None, "to see fifty", "to see four", "a to the", False),
    "vowel_kinds_at_most": ({"n": 2}, "the sea was vast", "our blue sea is", "A E a e", True),
    "syllable_parity": (None, "red ocean wave", "red blue wave", "sea", False),
    "alliteration_growth": (None, "The sea. Big blue sea.", "Big blue sea. The sea.", "Only one sentence.", False),
}  # fmt: skip


def test_every_kind_has_a_case():
    assert set(CASES) == set(KINDS)


@pytest.mark.parametrize("kind", CASES)
def test_a_kind_is_met_by_what_meets_it_alone(kind):
    params, met, broken, edge, edge_is_met = CASES[kind]
    constraint = Constraint(kind, KINDS[kind].example if params is None else params)
    assert constraint.met(met)
    assert not constraint.met(broken)
    assert constraint.met(edge) is edge_is_met
    assert KINDS[kind].brief or len(words(broken)) >= 3, "it must fail for its rule, not for its length"
    assert not any(constraint.met(nothing) for nothing in ("", " \n\t"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Who paid 3.50, e.g. in coins. Fine.", ["Dr. Who paid 3.50, e.g. in coins.", "Fine."]),
        ("1. Red\n2. Blue", ["Red", "Blue"]),
        ('He said "No." She left...', ['He said "No."', "She left..."]),
        ("So am I. P.S. So is J. Smith.", ["So am I.", "P.S. So is J. Smith."]),
        ("---\n***", []),
        ("", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected
