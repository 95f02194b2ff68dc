"""The studies of labelled text: rows are spoilt as they say, a run writes what the page reads, claims are judged."""

import io
import json
import os
import re
import tarfile
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from labelled import labelled_rows
from unflaw.data import hash_path, write


@pytest.fixture
def weights(load_study):
    return load_study("weights", "run", "page")


@pytest.fixture
def sets(tmp_path):
    """A small task in parts."""
    for name, n, seed in (("pool", 80, 1), ("checker", 40, 2), ("validation", 16, 3), ("test", 40, 4)):
        (tmp_path / "films").mkdir(exist_ok=True)
        write(labelled_rows(n, seed=seed), tmp_path / "films" / f"{name}.jsonl")
    return tmp_path


def test_a_share_of_labels_is_wrong_and_marked(weights, sets):
    run, _ = weights
    rows = run.synthetic_rows(sets, "films", "noise-0.4", 0)
    clean = dict(zip(labelled_rows(80, seed=1).column("text"), labelled_rows(80, seed=1).column("label"), strict=True))
    wrong = [clean[t] != v for t, v in zip(rows.column("text"), rows.column("label"), strict=True)]
    assert wrong == rows.column("wrong") and sum(wrong) == 32
    assert not any(run.synthetic_rows(sets, "films", "noise-0", 0).column("wrong"))


def test_one_label_is_rare_and_copies_are_near(weights, sets, monkeypatch):
    run, _ = weights
    rare = run.synthetic_rows(sets, "films", "imbalance", 0).column("label")
    assert 0 < min(rare.count(v) for v in set(rare)) < 12
    write(labelled_rows(400, seed=1), sets / "films" / "pool.jsonl")
    copies = run.synthetic_rows(sets, "films", "duplicates", 0)
    texts = copies.column("text")
    assert len(copies) == 300
    lengths = [{len(t.split()) for t in texts[at : at + 10]} for at in range(200, 300, 10)]
    assert all(len(of) == 1 for of in lengths) and len(set(texts[200:])) > 60


def test_a_run_is_written_once_and_read_by_the_page(weights, sets, monkeypatch, tmp_path, tiny_encoder):
    run, page = weights
    monkeypatch.setattr(run, "RESULTS", tmp_path / "arms.jsonl")
    monkeypatch.setattr(run, "ARM", {"steps": 2, "batch_size": 16, "max_tokens": 64})
    monkeypatch.setattr(run, "CONDITIONS", {"noise-0.2": ("plain", "dimp")})
    argv = ["run.py", str(sets), "--tasks", "films", "--conditions", "noise-0.2", "--seeds", "2", "--model",
            f"hf:{tiny_encoder}", "--checker", "probe:potion"]  # fmt: skip
    monkeypatch.setattr("sys.argv", argv)
    for _ in range(2):
        run.main()  # the second time there is nothing left to do
    told = run.records()
    assert [(r["seed"], r["arm"]) for r in told] == [(0, "plain"), (0, "dimp"), (1, "plain"), (1, "dimp")]
    assert all(len(r["told"]) == 40 and 0 <= r["auc"]["quality"] <= 1 for r in told)
    monkeypatch.setattr(page, "records", lambda: told)
    monkeypatch.setattr(page, "TIMES", tmp_path / "times.jsonl")
    monkeypatch.setattr(page, "BENCH", tmp_path / "none.json")
    claims, text = page.built()
    assert {c["claim"] for c in claims} == {"C3"} and "### noise-0.2" in text


def record(seed, told, y="01" * 50, **more):
    return {"task": "films", "condition": "written", "seed": seed, "arm": "plain", "classes": 2, "y": y, "told": told,
            "seconds": 10.0, "weighing_s": 10.0, "auc": None, **more}  # fmt: skip


def test_a_difference_is_of_macro_f1_paired_by_row_and_seed(weights):
    _, page = weights
    right, half = "01" * 50, "01" * 25 + "10" * 25
    a, b = ({s: record(s, told) for s in (0, 1)} for told in (half, right))
    value, low, high = page.difference(a, b)
    assert value == pytest.approx(0.5) and 0.3 < low < 0.5 < high < 0.7
    assert page.difference(a, a) == (0.0, 0.0, 0.0)
    assert page.difference({0: a[0]}, b) is None
    assert [page.above(v) for v in ((1, 0.1, 2), (-1, -2, -0.1), (0, -1, 1), None)] == [
        "pass",
        "fail",
        "unclear",
        "unclear",
    ]


def test_a_gain_that_grows_is_a_difference_of_differences(weights):
    """Of half the rows, b gains half of macro-F1 under the first condition and nothing under the second."""
    _, page = weights
    right, half = "01" * 50, "01" * 25 + "10" * 25
    of = {("first", "a"): half, ("first", "b"): right, ("then", "a"): right, ("then", "b"): right}
    arms = {("films", *name): {s: record(s, told) for s in (0, 1)} for name, told in of.items()}
    (value, low, high), n = page.grown(arms, "films", ("first", "then"), "a", "b")
    assert value == pytest.approx(-0.5) and -0.7 < low < -0.5 < high < -0.3 and n == 2
    assert page.grown(arms, "films", ("then", "then"), "a", "b") == ((0.0, 0.0, 0.0), 2)


def test_claims_of_cost_compare_seconds(weights, monkeypatch, tmp_path):
    _, page = weights
    spent = {"plain": 10.0, "dimp": 10.5, "imp": 10.0, "quality": 2.0, "weighing": 13.0, "n": 60, "n_real": 10}
    monkeypatch.setattr(page, "TIMES", tmp_path / "times.jsonl")
    page.TIMES.write_text("".join(json.dumps({**spent, "dimp": dimp}) + "\n" for dimp in (10.0, 11.0)))
    monkeypatch.setattr(page, "BENCH", tmp_path / "bench.json")
    of = {"peer": 1.0, "ratio": 3.0, "low": 2.5, "high": 3.5}
    page.BENCH.write_text(json.dumps({"rows": [{"job": f"{arm}_step_vs_plain", **of} for arm in ("dimp", "hu")]}))
    alone, whole, imp, hu = page.c6()
    assert (hu["value"], hu["verdict"], hu["settings"]) == (3.0, "pass", {"arm": "hu"})
    assert (alone["value"], alone["low"], alone["high"], alone["verdict"]) == (1.05, 1.0, 1.1, "pass")
    assert whole["value"] == 1.25 and (imp["value"], imp["verdict"]) == (2.3, "fail")


def test_the_rate_of_an_arm_is_that_which_validation_rows_like(weights, sets, monkeypatch, tmp_path, tiny_encoder):
    run, _ = weights
    monkeypatch.setattr(run, "TUNED", tmp_path / "tuned.jsonl")
    monkeypatch.setattr(run, "ARM", {"steps": 2, "batch_size": 16, "max_tokens": 64})
    with pytest.raises(SystemExit, match="--tune first"):
        run.rate_of("hu")
    for _ in range(2):
        run.tune(sets, ["films"], f"hf:{tiny_encoder}")
    told = [json.loads(line) for line in run.TUNED.read_text().splitlines()]
    assert [(r["arm"], r["rate"]) for r in told] == [(arm, rate) for arm in run.BILEVEL for rate in run.RATES]
    for r in told:
        r["accuracy"] = 0.5 + (r["arm"] == "hu" and r["rate"] == 0.3)
        r["loss"] = r["rate"]
    run.TUNED.write_text("\n".join(map(json.dumps, told)))
    assert (run.rate_of("hu"), run.rate_of("sungen")) == (0.3, run.RATES[0])


def test_a_killed_study_of_levels_goes_on_with_the_same_rows(load_study, monkeypatch, tmp_path, tiny_encoder):
    run, page = load_study("difficulty", "run", "page")
    small = {"batch_size": 16, "max_tokens": 32}
    for name, value in {
        "MODEL": f"hf:{tiny_encoder}", "N_TEST": 40, "N_OTHER": 50, "N_SUBSETS": 60, "GRADE": {**small, "epochs": 2},
        "LEARN": small, "N_STEPS": {"films": 3}, "RATE": {"films": 3e-3},
        "N_BEFORE": {"films": 30}, "N_TRAIN": {"films": 40},
        "SUBSET_STEPS": 2, "LEVELS_FILE": tmp_path / "results" / "levels.jsonl",
        "SUBSETS_FILE": tmp_path / "results" / "subsets.jsonl", "DOSES_FILE": tmp_path / "results" / "doses.jsonl",
        "SUBSETS": {"all": run.LEVELS, "easy+hard": ("easy", "hard")},
    }.items():  # fmt: skip
        monkeypatch.setattr(run, name, value)
    rows = labelled_rows(170)
    nothing, more = ({"accuracy": a, "low": a - 0.1, "high": a + 0.1, "commonest": 0.5} for a in (0.5, 0.9))
    monkeypatch.setattr(run, "_share_told", lambda *of: nothing)
    assert run.levels_of("films", rows, 0, tmp_path) is None
    monkeypatch.setattr(run, "_share_told", lambda *of: more)
    run._add(run.LEVELS_FILE, run.levels_of("films", rows, 0, tmp_path))
    kept = tmp_path / "films-3-0.003"  # by its steps and rate: learnt otherwise, it is another one
    once = sorted(path.name for path in kept.glob("*"))
    assert once == ["first-3", "full", "grader"]
    for name in once:  # asked again, not trained again
        assert len(run.learnt(rows, rows, ["bad", "good"], 0, "nobody", kept / name)) == 170
    (record,) = map(json.loads, run.LEVELS_FILE.read_text().splitlines())
    run.amend("films", 0, lambda of: {"level": [0] * 40, "others": {}})
    run.amend("films", 1, lambda of: {"level": []})  # of which there is none
    run.amend("films", 0, partial(run.regrade, "films", rows, 0, run._grader("films", tmp_path)))
    learnt = run.learnt
    monkeypatch.setattr(run, "learnt", lambda train, *of, **how: [len(train)])
    run.amend("films", 0, partial(run.ask_smollm2, "films", rows, 0))
    again = json.loads(run.LEVELS_FILE.read_text())
    assert again == {**record, "others": {"smollm2": [50]}}
    monkeypatch.setattr(run, "learnt", learnt)
    graded = SimpleNamespace(level=[run.LEVELS[k // 2 % 3] for k in range(60)])  # graded for real above
    monkeypatch.setattr(run, "difficulty", lambda train, **how: graded)
    run.subsets_of("films", rows, 0, tmp_path)
    first = run.SUBSETS_FILE.read_text()
    run.SUBSETS_FILE.write_text("".join(first.splitlines(keepends=True)[:2]))
    run.subsets_of("films", rows, 0, tmp_path)
    run.subsets_of("films", rows, 0, tmp_path)
    assert run.SUBSETS_FILE.read_text() == first and len(first.splitlines()) == 3
    (record,) = map(json.loads, run.LEVELS_FILE.read_text().splitlines())
    (dose,) = map(json.loads, run.DOSES_FILE.read_text().splitlines())
    assert record["n_train"] == 40 and "| films | 30 | 3 | 0.003 | 0.500 [0.400, 0.600] | 0.500 |" in page._doses(
        [dose]
    )
    assert page.accuracy_claims("films", [record]) and len(page._levels([record])) == 9
    with pytest.raises(SystemExit, match="has 170 rows"):
        monkeypatch.setitem(run.N_TRAIN, "films", 120)
        run.levels_of("films", rows, 0, tmp_path)


def test_levels_are_judged_by_models_that_never_saw_them(load_study):
    (page,) = load_study("difficulty", "page")
    level = [0] * 40 + [1] * 30 + [2] * 30
    told = [0] * 40 + [0] * 20 + [1] * 10 + [1] * 30  # all right among easy, none among hard
    of = [{"set": "films", "seed": s, "y": [0] * 100, "level": level, "independent": {"full": told, "first:3": told},
           "wrong": [0] * 70 + [1] * 30, "noisy_level": level, "stability": 0.9} for s in (0, 1)]  # fmt: skip
    easy_hard = page.accuracy_claims("films", of)[2]
    assert easy_hard["value"] == 1.0 and easy_hard["verdict"] == "pass"
    assert page.noise_claims("films", of)[0]["value"] == 1.0
    assert page.firm_claims("films", of)[0]["verdict"] == "pass"
    assert (
        page.partial_claims("films", [{**r, "independent": {"full": told, "first:3": [0] * 100}} for r in of])[0][
            "value"
        ]
        == 0
    )


def test_gaps_and_correlations_of_the_subjectivity_study(load_study):
    (page,) = load_study("subjectivity", "gap_page")
    by = page.defaultdict(dict)
    right = "01" * 50
    for n, task in enumerate(page.TASKS[:5]):
        for seed in (0, 1):
            worse = "10" * (4 * n) + "01" * (50 - 4 * n)
            by[task, "real"][seed] = {"classes": 2, "y": right, "told": right, "n": 9}
            by[task, "few"][seed] = by[task, "zero"][seed] = {"classes": 2, "y": right, "told": worse, "n": 9}
    assert page.gap(by, page.TASKS[0], "real", "few")[0] == 0
    traits = {t: {"subjectivity": {"classifier": 0.1 * n}} for n, t in enumerate(page.TASKS[:5])}
    told = page._correlations(by, traits)
    assert [c["value"] for c in told] == [1.0, 1.0]
    for n, task in enumerate(page.TASKS[:5]):
        traits[task]["fidelity"] = {"real": 0.9, "zero": 0.9 - 0.1 * n, "few": 0.9 - 0.1 * n}
    assert page._fidelity(by, traits)[0]["value"] == 1.0
    traits[page.TASKS[1]]["agreement"] = [0.0] * 50 + [1.0] * 50  # written rows: right but for four of the first fifty
    said = page._instances(by, traits)
    assert [round(c["value"], 4) for c in said] == [0.0, 0.16, 0.16, 0.16, 0.16]


def test_sentences_of_a_pair_lie_in_one_fold_and_have_its_two_labels(load_study, tmp_path):
    (irony,) = load_study("subjectivity", "irony")
    pair = {"input": "Which statement is sarcastic? (a) I love rain a lot (b) I love sun a lot",
            "target_scores": {"(a)": 1, "(b)": 0}}  # fmt: skip
    single = {"input": "Nobody is (as) kind", "target_scores": {"ironic": 0, "not ironic": 1}}
    with tarfile.open(tmp_path / "bigbench-1.0.0.tar.gz", "w:gz") as tar:
        for name, of in (("snarks", pair), ("irony_identification", single)):
            said = json.dumps({"examples": [of]}).encode()
            file = tarfile.TarInfo(f"bigbench-1.0.0/bigbench/benchmark_tasks/{name}/task.json")
            file.size = len(said)
            tar.addfile(file, io.BytesIO(said))
    rows = irony.sentences(tmp_path)
    assert rows.column("text") == ["I love rain a lot", "I love sun a lot", "Nobody is (as) kind"]
    assert rows.column("label") == ["ironic", "literal", "literal"]
    assert irony.alike(rows.column("text")) == [0, 0, 2]


PAGES = [("weights", "page", "README.md"), ("difficulty", "page", "README.md"), ("subjectivity", "gap_page", "gap.md")]


@pytest.mark.parametrize(("study", "module", "name"), PAGES)
def test_the_pages_say_what_the_results_say(load_study, study, module, name, monkeypatch):
    """Made anew, with few resamples, claims have the values that are kept, and tables the lines, intervals aside."""
    (page,) = load_study(study, module)
    kept = json.loads((page.HERE / "results" / "claims.json").read_text())
    now = {os.path.relpath(path, page.HERE): hash_path(path) for path in page.MADE_OF}
    assert kept["made_of"] == now, f"run studies/{study}/{module}.py"
    claims, lines = kept["claims"], (page.HERE / name).read_text(encoding="utf-8").splitlines()
    assert claims and {*page._claims(claims)} <= {*lines}
    assert len({c["statement"] for c in claims}) == len(claims)
    monkeypatch.setattr(page, "N_RESAMPLES", 20, raising=False)
    for made in ("seeded_difference", "seeded_interval"):
        monkeypatch.setattr(page, made, partial(getattr(page, made), n_resamples=20))
    again, text = page.built()
    assert [(c["statement"], c["value"]) for c in again] == [(c["statement"], c["value"]) for c in claims]
    made, held = ({re.sub(r"\[[^]]*\]", "", line) for line in of} for of in (text.splitlines(), lines))
    assert made - {re.sub(r"\[[^]]*\]", "", line) for line in page._claims(again)} <= held


def test_products_of_bfloat16_are_those_of_float32_rounded_once(load_study):
    (rounding,) = load_study("labelled", "rounding")
    torch.manual_seed(0)
    a, w, c = (torch.randn(*size).bfloat16() for size in ((9, 64), (64, 7), (7,)))
    exact = a.double() @ w.double()
    units = rounding.products_by_float32()
    assert torch.equal(a @ w, exact.float().bfloat16())
    assert torch.equal(torch.addmm(c, a, w, beta=2, alpha=0.5), (2 * c.double() + 0.5 * exact).float().bfloat16())
    x = torch.randn(3, 4)
    assert torch.allclose(x @ x.T, (x[:, None] * x).sum(-1), atol=1e-6)
    w.requires_grad_()
    (a @ w).sum().backward()
    assert torch.equal(w.grad, a.double().sum(0)[:, None].expand(64, 7).float().bfloat16())
    del units
    assert (a @ w).dtype == torch.bfloat16
