from unflaw.generate._focus import sentences


def test_initials_end_no_sentence():
    assert sentences("Mass was sung by J. S. Bach. The choir was small but loud.") == [
        "Mass was sung by J. S. Bach.",
        "The choir was small but loud.",
    ]


def test_sentences_that_point_back_are_left_out_while_others_remain():
    assert sentences("Mass was sung by many choirs. He used it twice in later works.") == [
        "Mass was sung by many choirs."
    ]
    assert sentences("He used it twice in later works.") == ["He used it twice in later works."]


def test_a_text_without_sentences_is_its_own_focus():
    assert sentences("  salt  ") == ["salt"]
