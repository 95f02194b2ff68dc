"""Secrets and contacts: published forms, check digits, and what only looks like one."""

import random

import pytest

from unflaw.data import find_contacts, find_secrets, mask

# Put together here, so that nobody's scanner takes this file for a leak.
LONG = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 2


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("private key", "-----BEGIN " + "RSA PRIVATE KEY-----"),
        ("private key", "-----BEGIN " + "PRIVATE KEY-----"),
        (
            "private key",
            "-----BEGIN " + f"EC PRIVATE KEY-----\n{LONG}\n{LONG[:9]}==\n-----END " + "EC PRIVATE KEY-----",
        ),
        ("private key", "-----BEGIN " + f"PRIVATE KEY-----\\n{LONG}\\n{LONG}"),
        ("AWS key", "AKIA" + "IOSFODNN7EXAMPLE"),
        ("AWS secret key", "aws_secret_" + f"access_key = {LONG[:40]}"),
        ("password in a URL", "postgres://ada:" + "s3cr3t!x@db"),
        ("GitHub token", "ghp_" + LONG[:36]),
        ("GitHub token", "github_" + "pat_" + LONG[:30]),
        ("GitLab token", "glpat-" + LONG[:20]),
        ("Slack token", "xoxb-" + LONG[:20]),
        ("Stripe key", "sk_" + "live_" + LONG[:24]),
        ("Stripe key", "sk_" + "test_" + LONG[:24]),
        ("Google key", "AIza" + LONG[:35]),
        ("Hugging Face token", "hf_" + LONG[:34]),
        ("OpenAI-like key", "sk-" + LONG[:40]),
        ("JSON web token", f"eyJ{LONG[:20]}.eyJ{LONG[:30]}.{LONG[:30]}"),
    ],
)
def test_a_key_is_found_and_masked_in_a_sentence(kind, text):
    sentence = f"My key is {text}, keep it."
    ((found, start, end),) = find_secrets(sentence)
    assert (found, sentence[start:end]) == (kind, text)
    assert mask(sentence) == f"My key is [{kind}], keep it."


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("e-mail address", "ada.l+x@mail.lovelace.co.uk"),
        ("phone number", "(212) 736-5000"),
        ("phone number", "212-736-5000"),
        ("phone number", "1-212-736-5000"),
        ("phone number", "+44 20 7946 0018"),
        ("phone number", "+49 (30) 901820"),
        ("phone number", "020 7946 0958"),
        ("phone number", "01632 960 983"),
        ("phone number", "06 12 34 56 78"),
        ("card number", "4111 1111 1111 1111"),
        ("card number", "378282246310005"),
        ("IBAN", "GB82 WEST 1234 5698 7654 32"),
        ("IBAN", "DE89370400440532013000"),
        ("social security number", "219-09-9999"),
    ],
)
def test_a_contact_is_found_and_masked_in_a_sentence(kind, text):
    sentence = f"It is {text}, he said."
    assert [(f.kind, sentence[f.start : f.end]) for f in find_contacts(sentence)] == [(kind, text)]
    assert mask(sentence) == f"It is [{kind}], he said."


@pytest.mark.parametrize(
    "text",
    [
        "me@example.com", "you@mail.example.org", "a@b.test", "@handle", "3 @ 4.50", "212-555-0134", "in 1914-1918",
        "4111 1111 1111 1112", "0000 0000 0000 0000", "GB82 WEST 1234 5698 7654 33", "3.14159265358979",
        "1,000,000,000,000,000", "2024-05-17", "ISBN 978-3-16-148410-0", "10.1000/182", "sk-learn-contrib-imbalanced",
        "sk-...", "AKIA", "000-12-3456", "192.168.0.1", "1-2-3", "room 212", "score 212-110", "12:30-14:45",
        "postgres://user:password@db.local", "https://x.org/a:b", "http://<user>:<key>@host.org", "00 01 02 03 04 05",
        "aws_secret_access_key", "8 9 10 11 12 13 14 15 16 17 18 19 20",
    ],
)  # fmt: skip
def test_what_only_looks_like_one_is_left(text):
    assert find_secrets(text) == find_contacts(text) == []
    assert mask(text) == text


def test_random_numbers_of_sixteen_digits_are_seldom_cards():
    """One in ten has a right check digit; nine in ten of those begin as no issuer's do, or nearly so."""
    rng = random.Random(0)
    numbers = [str(rng.randrange(10**15, 10**16)) for _ in range(2000)]
    assert sum(bool(find_contacts(n)) for n in numbers) < 0.04 * len(numbers)


def test_several_are_masked_in_their_places():
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    assert mask(f"{key} a@b.de c {key}") == "[AWS key] [e-mail address] c [AWS key]"
    assert mask("") == ""


def test_the_fast_search_before_the_slow_one_hides_nothing():
    """The least that each form asks for: seven digits near each other, two capitals and two digits, or an @."""
    least = ["+1 (2) 3 45678", "+12 345678", "1-(212) 736-5000", "(212)736-5000", "a@b.co", "DE89370400440532013000"]
    for text in least:
        assert [text[f.start : f.end] for f in find_contacts(text)] == [text]
    assert find_contacts("In 1815 and 1914, 12 of 3,000 read 17 pages.") == []


@pytest.mark.parametrize("text", ["a." * 100_000 + " @", "sk-" * 66_666, "eyJ" * 66_666, "%E4%BD%A0" * 20_000 + "@"])
def test_long_rows_take_no_longer_than_they_are(text):
    """Each took minutes once; the time limit of the tests would end them."""
    assert find_secrets(text) == [] and find_contacts(text) == []
