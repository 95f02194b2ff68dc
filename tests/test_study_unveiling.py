"""The study's arithmetic, and that its page says what its results say."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from unflaw.audit import TokensCheck, audit
from unflaw.data import Score
from unflaw.measure import Template


@pytest.fixture
def scripts(load_study):
    return load_study("unveiling", "_study", "page")


def score(model, items):
    value = sum(items.values()) / len(items)
    return Score("b", model, value, value, value, len(items), items=items)


def test_the_page_says_what_the_results_say(scripts):
    _, page = scripts
    found = page.results()
    for path, text in page.pages(found).items():
        assert text == path.read_text(), "run studies/unveiling/page.py"
    for name, picture in page.pictures(found).items():
        assert page.draw(**picture).startswith("<svg") and f"results/{name}" in page.page(found)


def test_differences_are_of_the_same_items_and_requests_are_drawn_whole(scripts):
    study, _ = scripts
    seeds = [
        {
            ("b", "a"): score("a", {"x/1": 0.0, "x/2": 1.0, "y/1": 0.5}),
            ("b", "z"): score("z", {"x/1": 1.0, "x/2": 1.0, "y/1": 0.5}),
        },
    ]
    value, low, high = study.difference(seeds, "b", "a", "z")
    assert value == pytest.approx(1 / 3)
    assert (low, high) == (0.0, 0.5)  # both draws are y: 0; both are x: (1 + 0) / 2


def test_an_item_asked_in_every_seed_is_drawn_once(scripts):
    study, _ = scripts
    one = {("b", "a"): score("a", {"q1": 0.0, "q2": 0.0}), ("b", "z"): score("z", {"q1": 1.0, "q2": 0.0})}
    assert study.difference([one] * 9, "b", "a", "z") == study.difference([one], "b", "a", "z") == (0.5, 0.0, 1.0)


def test_models_are_compared_as_the_mean_of_their_items(scripts):
    study, _ = scripts
    by = {
        ("b", name): score(name, {"x": x, "y": y}) for name, x, y in (("a", 0.0, 0.5), ("b", 0.5, 0.5), ("z", 1.0, 0.0))
    }
    assert study.items_of(by, "b", "a + b") == {"x": 0.25, "y": 0.5}
    value, low, high = study.difference([by], "b", "a + b", "z")
    assert (value, low, high) == (0.125, -0.5, 0.75)  # (.75 - .5) / 2; both draws are y, or both x
    told = study.claims_from({"P": study.Contrast("w", "b", "a + b", "z", study.above)}, [by])
    assert told[0]["value"] == 0.125 and told[0]["statement"] == "w (b, z - (a + b))"
    assert not study.claims_from({"P": study.Contrast("w", "b", "a + c", "z", study.above)}, [by])


def test_what_was_judged_earlier_is_compared_with_what_is_judged_now(scripts, tmp_path, monkeypatch):
    study, _ = scripts
    monkeypatch.setattr(study, "RESULTS", tmp_path)
    first, later, anew = (score(model, {"q1": value}) for model, value in (("a", 0.0), ("z", 0.25), ("a", 1.0)))
    study.with_earlier("x", [1, 2], [{("b", "a"): first}] * 2, ["b"])
    study.with_earlier("y", [1], [{("b", "a"): anew}], ["b"])  # another script's scores are its own
    assert study.with_earlier("x", [1], [{("b", "z"): later, ("c", "z"): later}], ["b"]) == [
        {("b", "a"): first, ("b", "z"): later}
    ]
    assert study.with_earlier("x", [1, 2], [{("b", "a"): anew}, {}], ["b"])[0]["b", "a"] == anew
    assert study.with_earlier("x", [2], [{}], ["b"]) == [{("b", "a"): first}]


def test_arms_judged_in_two_calls_stand_in_one_record(scripts, tmp_path, monkeypatch):
    study, _ = scripts
    import arms

    def of_seed(seed, asked, folder, scale):
        lifts = {"untouched": 0.5, "damaged": 0.0, "replay": 0.25, "bounded": 0.375, "bounded_3x": 0.75}
        judged = {
            (b, arm): replace(score(arm, {"q1": lifts[arm]}), benchmark=b)
            for b in study.SHOWN
            for arm in (*list(lifts)[:2], *asked)
        }
        return judged, {arm: {"tokens": 100 * seed, "w_forget": 0.1, "notes": [], "end": 2.0} for arm in asked}

    for module in (study, arms):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(arms, "of_seed", of_seed)
    study.keep(
        arms.JUDGED_LATER,
        arms.compared(["bounded", "replay", "bounded_3x"], [1, 2], tmp_path, study.SCALE, arms.JUDGED_LATER),
    )
    later = arms.compared(["bounded", "replay"], [1, 2], tmp_path, study.SCALE, arms.JUDGED_LATER)
    assert list(later["arms"]) == ["untouched", "damaged", "bounded", "replay", "bounded_3x"]
    assert later["arms"]["bounded_3x"]["tokens"] == [100, 200]
    assert later["arms"]["bounded_3x"]["against_replay"][study.SHOWN[0]] == (0.5, 0.5, 0.5)
    assert {c["claim"]: c["value"] for c in later["claims"]}["D1"] == 0.375

    study.keep(arms.JUDGED_LATER, {"seeds": [1, 2], "arms": {"bounded": {}, "gained": {}}})
    with pytest.raises(SystemExit, match="also has gained, judged where no item was kept"):
        arms.compared(["bounded", "replay"], [1, 2], tmp_path, study.SCALE, arms.JUDGED_LATER)


def test_arms_of_the_papers_order_are_compared_before_and_after_the_tuning(scripts):
    study, _ = scripts
    import order

    lifts = {
        "untuned 0": 0.5, "mixed 0": 0.5, "untuned 0.3": 0.125, "mixed 0.3": 0.5, "repaired_untuned 0.3": 0.25,
        "refined_untuned 0.3": 0.375, "repaired 0.3": 0.25, "refined 0.3": 0.5, "refined_10x 0.3": 0.125,
    }  # fmt: skip
    judged = {(b, m): replace(score(m, {"q1": v}), benchmark=b) for b in study.SHOWN for m, v in lifts.items()}
    found = order.record([4, 5], [judged, judged | {("instructions.lift", "ga 0.3"): score("ga", {"q1": 0.0})}])
    assert {c["claim"].removesuffix(" order 30%"): c["value"] for c in found["claims"]} == {
        "C4u": -0.375, "C5u": 0.125, "C5up": 0.125, "C5cu": -0.125, "C4": 0.0, "C5": -0.25, "C5c": -0.25, "C6": 0.125,
        "C5 refined": 0.0, "C5 refined_10x": -0.375,
    }  # fmt: skip
    assert found["seeds"] == [4, 5] and list(found["shares"]) == ["0", "0.3"]
    assert list(found["shares"]["0"]) == ["untuned", "mixed"] and "ga" not in found["shares"]["0.3"]


def test_machines_are_compared_where_they_judged_the_same_seeds(scripts, monkeypatch):
    _, page = scripts
    here = {"claims": [], "seeds": [1], "shares": {"0": {"mixed": dict.fromkeys(page.SHOWN, [0.25])}}}
    there = {"claims": [], "seeds": [1], "shares": {"0": {"mixed": dict.fromkeys(page.SHOWN, [0.5])}}}
    monkeypatch.setattr(page, "results", lambda: {"order.json": here})
    assert "1 trainings differ by 0.250 in instructions.lift, 0.250 in instructions.soft" in "".join(
        page.order_elsewhere(there)
    )
    assert not list(page.order_elsewhere(there | {"seeds": [1, 2]}))


@pytest.mark.parametrize(
    ("value", "low", "high", "words", "turned"),
    [
        (0.51, 0.21, 0.81, "(instructions.lift, b - a)", False),  # the noise of three seeds is .4, so ±.5 in all
        (0.49, 0.19, 0.79, "(instructions.lift, b - a)", True),
        (-0.49, -0.79, -0.19, "(instructions.lift, b - a)", True),
        (0.49, 0.19, 0.79, "(instructions.lift, (b + c) - (a + d))", False),  # ± .41
        (0.49, 0.19, 0.79, "(instructions.soft, b - a)", False),
        (0.49, 0.19, 0.79, "(instructions.hard, b - a)", False),
    ],
)
def test_a_verdict_that_another_run_might_turn(scripts, value, low, high, words, turned):
    _, page = scripts
    told = {"statement": words, "value": value, "low": low, "high": high, "threshold": 0.0, "n_seeds": 3}
    noise = {"instructions.lift": 0.4 / 1.96 * 3**0.5, "instructions.soft": 0.0}
    assert page.turned_by(noise, told | {"verdict": "pass" if value > 0 else "fail"}) == turned
    assert not page.turned_by(noise, told | {"verdict": "unclear"})


@pytest.mark.parametrize(
    ("auc_control", "jsd_control", "verdicts"), [(0.5, 0.1, ["pass", "pass"]), (0.7, 0.2, ["fail", "fail"])]
)
def test_what_is_said_of_the_rows_holds_against_real_rows_too(scripts, monkeypatch, auc_control, jsd_control, verdicts):
    import run

    values = {  # check → value, control; intervals reach .0625 to either side
        "gap.c2st_auc": (0.9375 + 0.0625, auc_control), "tokens.jsd": (0.375, jsd_control),
        "perplexity.after_shift": (-0.5, None), "perplexity.after_variance_ratio": (1.0, None),
    }  # fmt: skip
    findings = [
        SimpleNamespace(check=check, value=value, low=value - 0.0625, high=value + 0.0625, control=control)
        for check, (value, control) in values.items()
    ]
    folder = SimpleNamespace(path=None, findings=lambda: findings, scores=lambda: [score("untouched", {"q1": 0.5})])
    monkeypatch.setattr(run, "template_of", lambda path: None)
    monkeypatch.setattr(run, "odd_tokens", lambda template: (0.8, 0.7, 0.9))
    found = run.claims([folder] * 2)
    told = {c["claim"]: (c["value"], c["low"], c["high"], c["verdict"]) for c in found["claims"]}
    assert told == {
        "C1": (1.0, 0.9375, 1.0625, verdicts[0]), "C2": (0.8, 0.7, 0.9, verdicts[1]),
        "C3": (-0.5, -0.5625, -0.4375, "pass"), "C3b": (1.0, 0.9375, 1.0625, "unclear"),
    }  # fmt: skip
    assert found["by_seed"] == {"b untouched": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("value", "verdict"), [((0.2, 0.1, 0.3), "pass"), ((0.0, -0.1, 0.1), "unclear"), ((-0.2, -0.3, -0.1), "fail")]
)
def test_verdicts(scripts, value, verdict):
    study, _ = scripts
    assert study.above(value, 0.0) == verdict
    mirrored = (-value[0], -value[2], -value[1])
    assert study.below(mirrored, 0.0) == verdict


def test_a_scaled_adapter_is_what_interpolation_makes(scripts, tiny, tmp_path):
    from interpolate import scaled
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    from unflaw.data import Rows
    from unflaw.repair import interpolate
    from unflaw.train import finetune

    rows = Rows.from_records([{"text": "Rain fell on the hills."}], {"text": "text"})
    finetune(f"hf:{tiny}", rows, tmp_path / "adapter", steps=2, method="lora", learning_rate=1e-2)
    interpolate(f"peft:{tmp_path / 'adapter'}", f"hf:{tiny}", rows, tmp_path / "product", share=0.5, ceiling=9)
    spec = scaled(tmp_path / "study", tmp_path / "adapter", 0.5)
    study = dict(AutoPeftModelForCausalLM.from_pretrained(spec).merge_and_unload().named_parameters())
    for name, weight in AutoModelForCausalLM.from_pretrained(tmp_path / "product").named_parameters():
        torch.testing.assert_close(weight, study[name])


def test_the_most_overused_tokens_are_those_that_the_audit_shows(scripts):
    from run import odd_tokens

    study, _ = scripts
    synthetic, real = study.examples("synthetic", "real").values()
    audited = audit(synthetic.take(range(study.SCALE.n_trained)), real, checks=[TokensCheck()])
    found = {f.check: f.evidence for f in audited.findings}
    template = Template.from_evidence(found["tokens.structural"])
    structural = {token for phrase in template.phrases for token in phrase.tokens}
    shown = [told["token"] in structural for told in found["tokens.jsd"]["overused"][: len(structural)]]
    value, low, high = odd_tokens(template, n_resamples=20)
    assert value == pytest.approx(sum(shown) / len(shown)) and low <= value <= high
