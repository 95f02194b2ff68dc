"""Languages, on sentences of which everyone can tell."""

import pytest

from unflaw.measure import language


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
