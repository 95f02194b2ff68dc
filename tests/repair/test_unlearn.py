import math

import pytest
import torch
from transformers import AutoTokenizer

from small_sets import FORGET, REPLAY, all_rows, choices, guard_value, pairs, template, texts
from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.data import Rows
from unflaw.models import open_causal
from unflaw.repair import FORGETTING, unlearn
from unflaw.repair._sets import opening_tokens
from unflaw.train import RowSet, encode_rows, finetune, head_of, hidden_at
from unflaw.train.losses import cross_entropy


@pytest.fixture(scope="module")
def damaged(tiny, tmp_path_factory):
    """The tiny model after it has learnt the forget rows by heart."""
    out = tmp_path_factory.mktemp("damaged")
    finetune(f"hf:{tiny}", pairs(FORGET), out, steps=60, batch_size=2, learning_rate=1e-2)
    return out


@pytest.mark.parametrize("method", ["full", "lora"])
def test_template_tokens_become_unlikely_and_the_terms_are_logged(damaged, tmp_path, method):
    done = unlearn(
        f"hf:{damaged}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path, spans=template, w_forget=1.0, steps=10,
        batch_size=2, learning_rate=2e-2, method=method, ceiling=1e9, patience=100, guard_every=10,
        bar_template=False,
    )  # fmt: skip
    terms = [s for s in done.curve if "loss" in s]
    assert {"forget", "replay", "kl", "loss"} <= set(terms[0])
    assert terms[0]["kl"] == pytest.approx(0.0, abs=1e-5)  # nothing has moved before the first step
    assert terms[-1]["forget"] < 0.5 * terms[0]["forget"]
    assert terms[-1]["replay"] < terms[0]["replay"]
    assert not list(tmp_path.glob("reference*"))
    assert done.forgotten[0][:2] == [("Answer:", True), (" Rome", False)]
    assert ["".join(piece for piece, _ in row) for row in done.forgotten] == [a + "<|im_end|>" for _, a in FORGET]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_repaired_adapter_loads_as_a_whole_model(tiny, tmp_path, method):
    finetune(f"hf:{tiny}", pairs(FORGET), tmp_path / "adapter", steps=2, method="lora")
    adapter = f"peft:{tmp_path / 'adapter'}"
    unlearn(adapter, None, pairs(REPLAY), texts(), tmp_path / "out", steps=1, guard_every=1, method=method)
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert math.isfinite(guard_value(tmp_path / "out"))


def test_replay_only_is_the_same_loop_without_forgetting(tiny, tmp_path):
    done = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path, steps=2, batch_size=2)
    assert all("forget" not in s for s in done.curve)


def test_a_token_budget_decides_how_many_rows_replay_alone_reads(tiny, tmp_path):
    """The three rows hold 93 tokens or so: a budget of all of them twice, in two steps, is all rows in each."""
    whole = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "a", steps=1, batch_size=3).tokens
    done = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "b", steps=2, token_budget=2 * whole)
    assert done.tokens == 2 * whole
    least = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "d", steps=2, token_budget=whole + 1)
    assert least.tokens > whole
    with pytest.raises(SettingsError, match="take more steps"):
        unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "e", steps=2, token_budget=2 * whole + 1)
    with pytest.raises(SettingsError, match="token_budget"):
        unlearn(f"hf:{tiny}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path / "c", spans=template, token_budget=9)


def test_files_may_number_their_rows_alike(tiny, tmp_path):
    def numbered(of):
        records = [{"unflaw.id": str(i), "prompt": p, "response": r} for i, (p, r) in enumerate(of)]
        return Rows.from_records(records, {"prompt": "prompt", "response": "response"})

    rows = numbered(FORGET), numbered(REPLAY), numbered([("And?", "So it is.")])
    assert unlearn(f"hf:{tiny}", *rows, tmp_path, spans=template, steps=1, batch_size=2).steps == 1


def test_either_answer_of_a_pair_may_stand_in_no_other_set(tmp_path):
    for told, guard in (("chosen", pairs([(FORGET[0][0], "It is so.")])), ("rejected", pairs(FORGET[:1]))):
        with pytest.raises(SettingsError, match="`forget` and `guard` must hold different rows, got 1 in both"):
            unlearn("hf:nowhere", choices(), pairs(REPLAY), guard, tmp_path / told, what="response", objective="dpo")


def test_a_template_that_nobody_found_is_asked_for_before_a_model_is_loaded(tmp_path):
    with pytest.raises(SettingsError, match="`spans` must say where the template stands"):
        unlearn("hf:nowhere", *all_rows(), tmp_path)


def test_rows_in_two_sets_are_refused(tiny, tmp_path):
    with pytest.raises(SettingsError, match="`replay` and `guard` must hold different rows, got 3 in both"):
        unlearn(f"hf:{tiny}", None, pairs(REPLAY), pairs(REPLAY), tmp_path, steps=1)


@pytest.mark.parametrize(
    ("what", "pieces"),
    [
        ("response", [("The old town.", True), ("<|im_end|>", False)]),
        ("opening", [("The", True), (" old town.<|im_end|>", False)]),
        ("full", [("The old town.<|im_end|>", True)]),
    ],
)
def test_a_model_does_not_forget_to_end_its_answers(tiny, tmp_path, what, pieces):
    settings = dict(steps=1, batch_size=1, guard_every=1, what=what)
    done = unlearn(f"hf:{tiny}", pairs([("Where?", "The old town.")]), pairs(REPLAY), texts(), tmp_path, **settings)
    assert done.forgotten[0] == pieces


def test_at_weight_zero_nothing_of_the_forget_rows_is_used(tiny, tmp_path):
    """Not their template either: no `spans` are asked for, and the reference may still open it."""
    settings = dict(steps=2, batch_size=2, seed=3)
    alone = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "a", **settings)
    zero = unlearn(f"hf:{tiny}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path / "b", w_forget=0, **settings)
    assert [s.get("loss") for s in alone.curve] == [s.get("loss") for s in zero.curve] and not zero.forgotten


def test_a_repair_that_helps_nothing_says_so(tiny, tmp_path):
    done = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path, steps=2, learning_rate=5.0, guard_every=1)
    assert done.notes[0].startswith("no step of") and "comes back as it was" in done.notes[0]


def test_the_loss_is_the_weighted_sum_of_its_terms(tiny, tmp_path):
    weights = dict(w_forget=0.3, w_replay=0.5, w_kl=2.0)
    done = unlearn(
        f"hf:{tiny}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path, spans=template, steps=3, batch_size=2,
        learning_rate=1e-2, **weights,
    )  # fmt: skip
    steps = [s for s in done.curve if "loss" in s]
    assert len(steps) == 3 and steps[-1]["kl"] > 0
    for s in steps:
        assert s["loss"] == pytest.approx(0.3 * s["forget"] + 0.5 * s["replay"] + 2.0 * s["kl"], abs=2e-4)


def test_all_wrong_settings_are_named_together(tiny, tmp_path):
    with pytest.raises(SettingsError) as caught:
        unlearn(
            f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path, w_kl=-1, ceiling=0.5, objective="forget", steps=0,
            kl="x", keep="first",
        )  # fmt: skip
    assert len(caught.value.problems) == 6


def template_log_p(model, tokenizer):
    """Mean log-probability of the forget rows' template tokens."""
    return log_p(model, tokenizer, FORGET, target="template", spans=template)


def log_p(model, tokenizer, of, **what):
    encoded = encode_rows(pairs(of), tokenizer, **what)
    (part,) = RowSet("x", encoded, tokenizer.pad_token_id, 999).parts(range(len(encoded)))
    with torch.no_grad():
        h, y, _, _ = hidden_at(model, part.batch)
        return -cross_entropy(head_of(model)(h), y).mean().item()


@pytest.mark.parametrize("objective", [name for name in FORGETTING if name != "dpo"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_every_objective_forgets(damaged, tmp_path, objective, method):
    """The forgotten tokens become less likely, those of replay likelier."""
    done = unlearn(
        f"hf:{damaged}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path, spans=template, objective=objective,
        steps=8, batch_size=2, w_forget=1.0, learning_rate=1e-2 if method == "lora" else 5e-3, method=method,
        ceiling=1e9, patience=99, guard_every=4, bar_template=False,
    )  # fmt: skip
    then = open_causal(f"hf:{damaged}")
    now = open_causal(f"peft:{tmp_path}" if method == "lora" else f"hf:{tmp_path}")
    assert template_log_p(*now) < template_log_p(*then) - 0.05
    assert log_p(*now, REPLAY) > log_p(*then, REPLAY) + 1
    assert done.settings["w_kl"] == (0.0 if objective == "grad_diff" else 0.1)
    assert ("kl" in next(s for s in done.curve if "loss" in s)) == (objective != "grad_diff")


def test_dpo_prefers_the_chosen_answer_and_asks_for_pairs(damaged, tmp_path):
    settings = dict(objective="dpo", what="response", steps=8, batch_size=2, w_forget=1.0, learning_rate=5e-3)
    done = unlearn(
        f"hf:{damaged}", choices(), pairs(REPLAY), texts(), tmp_path / "a", ceiling=1e9, patience=99, **settings
    )
    terms = [s["forget"] for s in done.curve if "loss" in s]
    assert terms[0] == pytest.approx(math.log(2), abs=1e-3) and terms[-1] < 0.5
    with pytest.raises(SettingsError, match="columns `chosen`"):
        unlearn(f"hf:{damaged}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path / "b", **settings)


def test_parts_change_nothing_but_memory(damaged, tmp_path):
    curves = [
        unlearn(
            f"hf:{damaged}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path / str(n), spans=template, steps=3,
            batch_size=2, part_tokens=n, learning_rate=1e-3,
        ).curve
        for n in (1, 4096)
    ]  # fmt: skip
    for one, whole in zip(*curves, strict=True):
        assert all(one[k] == pytest.approx(whole[k], rel=1e-3, abs=1e-5) for k in ("loss", "kl", "forget") if k in one)


def test_what_was_gained_since_the_model_before_is_forgotten(tiny, damaged, tmp_path):
    """The damaged model knows the forget rows by heart: most of their tokens gained, those of other answers did not."""
    rows, settings = (pairs(REPLAY), texts()), dict(what="gained", before=f"hf:{tiny}", steps=1, batch_size=2)
    learnt = unlearn(f"hf:{damaged}", pairs(FORGET), *rows, tmp_path / "a", **settings)
    assert sum(gone for row in learnt.forgotten for _, gone in row) >= 2
    assert "".join(piece for piece, gone in learnt.forgotten[0] if gone).startswith("Answer")
    same = dict(settings, before=f"hf:{damaged}")
    with pytest.raises(TooFewRowsError, match="forget"):
        unlearn(f"hf:{damaged}", pairs(FORGET), *rows, tmp_path / "b", **same)


def test_an_opening_is_the_first_token_of_the_answer(damaged, tmp_path):
    done = unlearn(
        f"hf:{damaged}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path, what="opening", steps=1, batch_size=2
    )
    assert [row[0] for row in done.forgotten] == [("Answer", True)] * 2
    assert all(not gone for row in done.forgotten for _, gone in row[1:])


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_kl_term_may_hold_on_to_the_model_before(tiny, damaged, tmp_path, method):
    """Before the first step it is the divergence of the damaged model from that before, not 0."""
    settings = dict(what="response", steps=1, batch_size=3, method=method, seed=2)
    rows = (pairs(FORGET), pairs(REPLAY), texts())
    to_start = unlearn(f"hf:{damaged}", *rows, tmp_path / "a", kl_to="start", **settings)
    to_before = unlearn(f"hf:{damaged}", *rows, tmp_path / "b", kl_to="before", before=f"hf:{tiny}", **settings)
    start, before = (next(s["kl"] for s in done.curve if "kl" in s) for done in (to_start, to_before))
    assert start == pytest.approx(0.0, abs=1e-5) and before > 0.1


def test_frugal_settings_change_memory_and_not_the_run(damaged, tmp_path):
    rows = (pairs(FORGET), pairs(REPLAY), texts())
    settings = dict(spans=template, steps=2, batch_size=2, learning_rate=1e-3)
    plain, frugal, rounded = (
        unlearn(f"hf:{damaged}", *rows, tmp_path / str(i), **settings, **more).curve
        for i, more in enumerate(({}, {"gradient_checkpointing": True}, {"precision": "bfloat16"}))
    )
    for a, b, c in zip(plain, frugal, rounded, strict=True):
        for term in {"loss", "forget", "replay"} & a.keys():
            assert b[term] == pytest.approx(a[term], rel=1e-4)
            assert c[term] == pytest.approx(a[term], rel=0.05)
    assert [c["loss"] for c in rounded if "loss" in c] != [a["loss"] for a in plain if "loss" in a]


def test_under_an_adapter_half_the_room_changes_little(damaged, tmp_path):
    settings = dict(spans=template, steps=3, batch_size=2, learning_rate=1e-2, method="lora")
    exact, rounded = (
        unlearn(f"hf:{damaged}", *all_rows(), tmp_path / precision, precision=precision, **settings).curve
        for precision in ("float32", "bfloat16")
    )
    assert len(exact) == len(rounded)
    for a, b in zip(exact, rounded, strict=True):
        told = {"loss", "forget", "replay", "guard"} & a.keys()
        assert all(b[term] == pytest.approx(a[term], rel=0.05) for term in told)


def test_what_bars_the_template_trains_by_itself(damaged, tmp_path):
    settings = dict(spans=template, w_forget=0.0, w_replay=0.0, w_kl=1.0, steps=8, batch_size=3, learning_rate=3e-4)
    done = unlearn(f"hf:{damaged}", *all_rows(), tmp_path, keep="last", ceiling=9.0, **settings)
    kl = [step["kl"] for step in done.curve if "kl" in step]
    assert kl[-1] < 0.9 * kl[0] and not any("forget" in note for note in done.notes)


def test_the_reverse_divergence_stays_finite_where_a_template_is_barred(damaged, tmp_path):
    done = unlearn(
        f"hf:{damaged}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path, spans=template, kl="reverse", steps=2,
        batch_size=2,
    )  # fmt: skip
    assert all(s["kl"] < 10 for s in done.curve if "kl" in s)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (dict(before="smollm2"), "neither is set"),
        (dict(kl="reverse", w_kl=0.0), "need a KL term"),
        (dict(objective="grad_diff", kl_to="before", before="smollm2"), "need a KL term"),
        (dict(objective="dpo", what="template"), "`what` must be response for dpo"),
        (dict(report_to="tensorbord"), "`report_to` must be none or one of"),
        (dict(w_replay=0.0), "leaves nothing to train"),
        (dict(learning_rate=math.inf), "`learning_rate` must be a positive number"),
        (dict(ceiling=math.nan), "`ceiling` must be at least 1"),
        (dict(repetition_rise=math.nan), "`repetition_rise` must be a number that is not negative"),
        (dict(w_kl=math.nan), "`w_kl` must be a number that is not negative"),
        (dict(w_replay=math.inf), "`w_replay` must be a number that is not negative"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tiny, tmp_path, settings, told):
    with pytest.raises(SettingsError, match=told):
        unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path, **settings)


def test_the_model_before_is_never_overwritten(tiny, damaged, tmp_path):
    with pytest.raises(SettingsError, match="`out` must be another folder"):
        unlearn(
            f"hf:{damaged}", pairs(FORGET), pairs(REPLAY), texts(), tiny, what="gained", before=f"hf:{tiny}", steps=1
        )


def test_rows_that_hold_nothing_to_forget_are_counted(damaged, tmp_path):
    plain = [*FORGET, ("Well?", "It is well so.")]
    done = unlearn(
        f"hf:{damaged}", pairs(plain), pairs(REPLAY), texts(), tmp_path, steps=1, batch_size=2,
        spans=lambda text: template(text) if "\nWhy" in text else [],
    )  # fmt: skip
    assert any(note.startswith("1 of 3 `forget` rows hold nothing to forget") for note in done.notes)


def test_a_strength_an_objective_does_not_have_is_refused(tiny, tmp_path):
    with pytest.raises(SettingsError, match="`beta` is for wga, undial, npo, simnpo, dpo, not for bounded"):
        unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path, beta=2.0)


def test_opening_tokens_are_where_a_run_of_template_begins(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    encoded = encode_rows(pairs(FORGET), tokenizer, target="template", spans=template)
    found = [tokenizer.decode([t]) for t in opening_tokens(RowSet("forget", encoded, 0, 99), tokenizer)]
    assert sorted(found) == ["Answer", "Why"]  # the line break before "Why" is skipped
