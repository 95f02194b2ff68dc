"""Languages, on sentences of which everyone can tell."""

import random

import pytest

from unflaw.measure import language, languages


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "The river flows from the hills down to the sea, and nobody has ever crossed it in winter."),
        ("de", "Der Fluss fließt von den Hügeln hinab ins Meer, und im Winter hat ihn noch niemand überquert."),
        ("fr", "La rivière coule des collines jusqu'à la mer, et personne ne l'a jamais traversée en hiver."),
        ("es", "El río baja de las colinas hasta el mar, y nadie lo ha cruzado nunca durante el invierno."),
        ("zh", "这条河从山上流到海里，冬天从来没有人渡过它，因为水太冷了，而且桥也断了，大家都害怕。"),
        (None, "Paris"), (None, ""), (None, "12 + 30 = 42, 42 + 1 = 43, 43 - 2 = 41, 41 * 2 = 82, 82 / 2 = 41"),
        (None, "```\nfor row in rows: print(row, end='')\n```"),
        (None, "https://example.com/a/very/long/address/that/says/nothing/of/any/language/at/all"),
    ],
)  # fmt: skip
def test_language(code, text):
    assert language(text) == code


def test_code_and_numbers_around_prose_do_not_hide_its_language():
    assert language("In 1815 the `river` was crossed for the first time, says https://example.com/x of it.") == "en"


def test_many_at_once_are_told_as_each_by_itself():
    texts = [
        "The river flows from the hills down to the sea, and nobody has ever crossed it in winter.", "Paris", "",
        "DER FLUSS FLIESST VON DEN HÜGELN HINAB INS MEER, UND NIEMAND WEISS, WARUM ER DAS TUT.",
        "La rivière coule des collines jusqu'à la mer, et personne ne l'a jamais traversée en hiver.",
        "这条河从山上流到海里，冬天从来没有人渡过它，因为水太冷了，而且桥也断了，大家都害怕。", "a\ud800b " * 30,
        "x" * 197 + "http://example.com", "12 + 30 = 42",
    ]  # fmt: skip
    assert languages(texts * 2) == [language(text) for text in texts] * 2
    assert languages([]) == []


def test_the_walk_of_many_gives_what_py3langid_gives():
    from py3langid import langid

    theirs = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    rng = random.Random(0)
    spoken = [
        "the river flows from the hills down to the sea and nobody has ever crossed it in winter",
        "der Fluss fließt von den Hügeln hinab ins Meer und im Winter hat ihn noch niemand überquert",
        "la rivière coule des collines jusqu'à la mer et personne ne l'a jamais traversée en hiver",
        "el río baja de las colinas hasta el mar y nadie lo ha cruzado nunca durante el invierno",
        "il fiume scende dalle colline fino al mare e nessuno lo ha mai attraversato in inverno",
        "река течёт с холмов вниз к морю и никто никогда не переходил её зимой",
    ]
    texts = [" ".join(rng.choices(rng.choice(spoken).split(), k=rng.randrange(5, 30))) for _ in range(300)]
    texts = [text for text in texts if sum(map(str.isalpha, text)) >= 20 and len(text) <= 200]
    expected = [code if sure >= 0.85 else None for code, sure in map(theirs.classify, texts)]
    assert languages(texts) == expected and {"en", "de", "fr", "es", "it", "ru", None} <= set(expected)
