"""That the study's page says what its results say."""

from pathlib import Path


def test_the_page_says_what_the_results_say(load_study):
    (page,) = load_study("subjectivity", "page")
    assert page.page() == Path(page.__file__).with_name("README.md").read_text(), "run studies/subjectivity/page.py"
