"""The link from audit to repair: the template in a finding points at characters of other texts."""

import json

from unflaw.audit import TokensCheck, audit, structural_template
from unflaw.data import Finding, from_json, to_json
from unflaw.measure import Template


def findings(qa, records, mould):
    rows = qa([{**r, "answer": mould.format(r["answer"])} for r in records(120, 1)])
    return audit(rows, qa(120, 2), checks=[TokensCheck()]).findings


def test_the_template_of_a_saved_finding_marks_its_words_in_a_text_never_seen(qa, records):
    saved = json.dumps([to_json(f) for f in findings(qa, records, "Answer: {}\nNote: none")])
    template = structural_template([from_json(Finding, f) for f in json.loads(saved)])
    text = "The Answer: is no\nAnswer: Paris, my answer\nNote: none of these"
    assert [text[a:b] for a, b in template.spans(text)] == ["\nAnswer:", "\nNote: none"]


def test_evidence_alone_is_enough(qa, records):
    found = next(f for f in findings(qa, records, "Answer: {}") if f.check == "tokens.structural")
    assert Template.from_evidence(found.evidence) == structural_template([found])
    assert Template.from_evidence(found.evidence).spans("Answer: x") == [(0, 7)]


def test_no_template_marks_nothing(qa, records):
    assert structural_template(findings(qa, records, "{}")).spans("Answer: Paris") == []
    assert structural_template([]) == Template()
