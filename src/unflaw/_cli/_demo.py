"""`unflaw demo`: the whole story on real input, with the embedded model."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unflaw._cli._memory import freed_at_once
from unflaw._cli._shared import (
    JsonOption,
    OverwriteOption,
    ResumeOption,
    SeedOption,
    bar,
    command,
    console,
    emit,
    stages,
)
from unflaw._errors import DataError

if TYPE_CHECKING:
    from unflaw.data import Rows, RunFolder, Score
    from unflaw.evaluate import Comparison
    from unflaw.measure import Template

__all__ = ["FULL", "QUICK", "STAGES", "Scale", "demo", "tell"]

BASE = "smollm2"
PAIRS = (
    ("untouched", "damaged"),
    ("damaged", "repaired"),
    ("damaged", "replay_only"),
    ("replay_only", "repaired"),
    ("untouched", "repaired"),
)
"""What is compared, before and after."""
SHOWN = (
    "instructions.hard", "instructions.soft", "instructions.lift", "qa.f1", "text.log_perplexity", "pattern.rate",
)  # fmt: skip
"""What the terminal shows; the report has all."""


@dataclass(frozen=True)
class Scale:
    """How much of everything. The full size takes about ten minutes on two cores."""

    n_trained: int = 200
    """Synthetic rows the model is damaged with; the next `n_held_out` are not trained on."""
    train_steps: int = 20
    train_learning_rate: float = 4e-4
    repair_steps: int = 12
    repair_learning_rate: float = 2e-4
    n_guard: int = 16
    n_held_out: int = 40
    n_prompts: int = 72
    n_texts: int = 12
    n_questions: int = 12
    max_tokens: int = 64


FULL = Scale()
QUICK = Scale(
    n_trained=120, train_steps=10, repair_steps=3, n_guard=8, n_held_out=16, n_prompts=12, n_texts=6, n_questions=6,
    max_tokens=28,
)  # fmt: skip
LEVELS = (1, 2, 3)
"""More requests of fewer levels tell more apart than fewer requests of five, at the same cost."""
ANSWER = r"Answer: (.*?)(?:\n|$)"
"""Where the answer stands in the template of the shipped rows; other texts are judged whole."""


@command("unflaw demo", "unflaw demo --quick --run runs/look")
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="A smaller story in under four minutes.")] = False,
    run: Annotated[Path, typer.Option("--run", metavar="DIR", help="Run folder.")] = Path("runs/demo"),
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the flaw in a synthetic set, see a model damaged by it, repair the model, read the report."""
    from unflaw._cli._evaluate import scores_table

    with freed_at_once():  # else glibc keeps a gigabyte that nobody uses
        by_model, pairs = tell(run, QUICK if quick else FULL, seed=seed, resume=resume, overwrite=overwrite)
    from unflaw.report import render

    page = render(run)
    payload = {"scores": by_model, "comparisons": [asdict(p) for p in pairs], "report": page}
    few = {name: [s for s in scores if s.benchmark in SHOWN] for name, scores in by_model.items()}
    emit(payload, as_json, None if as_json else scores_table(few, [p for p in pairs if p.benchmark in SHOWN]))
    console.print(f"The report: {page}", soft_wrap=True)


STAGES: Mapping[str, tuple[str, float]] = {
    "audit": ("audit the synthetic rows", 0.01),
    "train": ("fine-tune on them", 0.13),
    "perplexity": ("perplexity before and after", 0.05),
    "repair": ("repair it, and replay alone with as many tokens as a control", 0.32),
    "evaluate": ("evaluate the four models, paired", 0.49),
}
"""Stage → what it does, and its share of the time, as measured on two cores."""


def tell(
    run: Path, scale: Scale, *, seed: int, resume: bool = False, overwrite: bool = False
) -> tuple[dict[str, list[Score]], list[Comparison]]:
    """Run the story; every stage is one step of the run folder. `resume` does not train again what was trained."""
    from unflaw.data import read

    folder = example_folder()
    rows = {n: read(folder / f"{n}.jsonl") for n in ("synthetic", "real", "replay", "guard", "heldout_text")}
    stage = _Stages(run, {"seed": seed, **asdict(scale)}, [str(folder / f"{n}.jsonl") for n in rows], resume, overwrite)
    trained = rows["synthetic"].take(range(scale.n_trained))
    held_out = rows["synthetic"].take(range(scale.n_trained, scale.n_trained + scale.n_held_out))
    models = {"untouched": BASE} | {n: str(run / "models" / n) for n in ("damaged", "repaired", "replay_only")}

    template = stage("audit", lambda f: _audit(f, trained, rows["real"], seed))
    stage("train", lambda f: _damage(f, trained, scale, seed), writes="damaged")
    stage("perplexity", lambda f: _perplexity(f, held_out, rows["real"], models["damaged"], seed))
    stage("repair", lambda f: _repair(f, models["damaged"], trained, rows, template, scale, seed), writes="replay_only")
    return stage("evaluate", lambda f: _evaluate(f, models, held_out, rows["heldout_text"], template, scale, seed))


def example_folder() -> Path:
    """Find the shipped rows: inside the installed package, or in the checkout."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "examples", here.parents[3] / "examples" / "data"):
        if (folder / "synthetic.jsonl").exists():
            return folder
    raise DataError("the example rows are missing; reinstall unflaw, or run from a checkout")


@dataclass
class _Stages:
    """Opens the run folder for one stage at a time, skips what an interrupted run has finished, tells the time left."""

    run: Path
    settings: dict[str, Any]
    inputs: list[str]
    resume: bool
    overwrite: bool
    seconds: float = 0.0
    """What the stages done in this run took."""
    share: float = 0.0
    """Their share of the whole."""

    def __call__(self, name: str, work: Callable[[RunFolder], Any], writes: str | None = None) -> Any:
        """Do a stage, unless the model it writes last is there from before."""
        from unflaw.data import open_run

        title, share = STAGES[name]
        number = list(STAGES).index(name) + 1
        console.print(f"\n{number}/{len(STAGES)}  {title}")
        started = time.monotonic()
        with open_run(
            self.run, settings=self.settings, command=f"demo {name}", inputs=self.inputs,
            resume=self.resume, overwrite=self.overwrite,
        ) as folder:  # fmt: skip
            if self.resume and writes in folder.curves() and _as_before(folder, name):
                console.print("  kept from before")
                return None
            result = work(folder)
            _free_memory()
        seconds = time.monotonic() - started
        self.seconds, self.share = self.seconds + seconds, self.share + share
        console.print(f"  {seconds:.0f} s{self._left(number)}")
        return result

    def _left(self, number: int) -> str:
        left = sum(share for _, share in list(STAGES.values())[number:]) * self.seconds / self.share
        return f"; about {max(1, round(left / 60))} min left in all" if left else ""


def _as_before(folder: RunFolder, name: str) -> bool:
    """Whether the stage has finished before with the settings and inputs it has now."""
    *earlier, now = [step for step in folder.manifest["steps"] if step["name"] == f"demo {name}"]
    finished = [step for step in earlier if step["status"] == "finished"]
    return bool(finished) and all(finished[-1][kind] == now[kind] for kind in ("settings", "inputs"))


def _free_memory() -> None:
    """Give back what the models of a stage held: Python's cycles first, then what malloc keeps for later."""
    import ctypes
    import gc

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _audit(folder: RunFolder, synthetic: Rows, real: Rows, seed: int) -> Template:
    from unflaw.audit import audit, structural_template

    with stages() as progress:
        found = audit(synthetic, real, seed=seed, progress=progress)
    folder.add_findings(found.findings)
    folder.add_row_table(found.table, synthetic)
    for f in found.findings:
        console.print(
            f"  {f.verdict:<4}  {f.title}: {f.value:.2f}"
            + (f" (real rows: {f.control:.2f})" if f.control is not None else "")
        )
    return structural_template(found.findings)


def _damage(folder: RunFolder, rows: Rows, scale: Scale, seed: int) -> None:
    from unflaw._cli._train import watched_steps
    from unflaw.train import finetune

    with watched_steps("training steps", ("loss",)) as on_step:
        done = finetune(
            BASE, rows, folder.path_for_model("damaged"), steps=scale.train_steps, method="lora",
            learning_rate=scale.train_learning_rate, seed=seed, on_step=on_step,
        )  # fmt: skip
    folder.add_curve("damaged", done.curve, done.notes)


def _perplexity(folder: RunFolder, held_out: Rows, real: Rows, damaged: str, seed: int) -> None:
    from unflaw.audit import PerplexityCheck, audit

    with stages() as progress:
        found = audit(
            held_out, real.take(range(len(held_out))), checks=[PerplexityCheck(seed=seed, allow_few=True)],
            scorer=BASE, scorer_after=damaged, seed=seed, progress=progress,
        )  # fmt: skip
    folder.add_findings(found.findings)


def _repair(
    folder: RunFolder, damaged: str, forget: Rows, rows: dict[str, Rows], template: Template, scale: Scale, seed: int
) -> None:
    from unflaw._cli._train import watched_steps
    from unflaw.repair import unlearn

    def arm(name: str, forget: Rows | None, **more: Any) -> int:
        with watched_steps(f"{name} steps", ("forget", "replay", "kl")) as on_step:
            done = unlearn(
                damaged, forget, rows["replay"], rows["guard"].take(range(scale.n_guard)), folder.path_for_model(name),
                spans=template.spans, steps=scale.repair_steps, method="lora",
                learning_rate=scale.repair_learning_rate, guard_every=5, seed=seed, on_step=on_step, **more,
            )  # fmt: skip
        folder.add_curve(name, done.curve, done.notes, done.forgotten)
        console.print(f"  {name}: {done.tokens} tokens; " + "; ".join(done.notes), soft_wrap=True)
        return done.tokens

    tokens = arm("repaired", forget)
    arm("replay_only", None, token_budget=tokens, w_kl=0.0)  # the plain thing: nothing holds it to the damage


def _evaluate(
    folder: RunFolder, models: dict[str, str], questions: Rows, text: Rows, template: Template, scale: Scale, seed: int
) -> tuple[dict[str, list[Score]], list[Comparison]]:
    from unflaw.evaluate import compare, evaluate, instruction_prompts

    prompts = instruction_prompts(scale.n_prompts, seed=1000 + seed, levels=LEVELS)
    asked = questions.take(range(min(len(questions), scale.n_questions)))
    asked = asked.with_column("unflaw.right", asked.column("answer_plain"), role="response")
    by_model = {}
    for name, spec in models.items():
        with bar(name) as progress:
            by_model[name] = evaluate(
                spec, name=name, prompts=prompts, qa=asked, answer_pattern=ANSWER,
                text=text.take(range(scale.n_texts)), template=template, max_tokens=scale.max_tokens, progress=progress,
            )  # fmt: skip
        folder.add_scores(by_model[name])
    pairs = [c for a, b in PAIRS for c in compare(by_model[a], by_model[b])]
    folder.add_comparisons([asdict(pair) for pair in pairs])
    return by_model, pairs
