"""The `unflaw` command: a table of verbs, each loaded when it is called.

`unflaw --help` reads the table alone, so it answers at once and one verb with a missing
optional dependency cannot break the others.
"""

from __future__ import annotations

import importlib
import sys
from types import TracebackType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

import unflaw
from unflaw._cli._leave import explain_bug, leave, show_warnings_as_notes
from unflaw._cli._shared import epilog_of
from unflaw._cli._verb import Verb
from unflaw._errors import UnflawError

__all__ = ["VERBS", "app", "load_verb", "main"]

VERBS = {  # verb → its one line in `unflaw --help`; the code is `<verb>` in `unflaw._cli._<verb>`
    "inspect": "Show what a file holds: schema, counts, lengths, example rows.",
    "audit": "Say what is wrong with a data set, and which rows carry it.",
    "curate": "Choose rows: filter by score, weigh by quality, grade by difficulty, split.",
    "generate": "Write synthetic rows.",
    "train": "Fine-tune a language model, or train a classifier, weights honoured.",
    "repair": "Unlearn the flaw from a model that was trained on it.",
    "evaluate": "Measure one model, or several against each other, paired.",
    "report": "Turn a run folder into one self-contained HTML page.",
    "run": "Run the steps of a recipe file.",
    "demo": "The whole story on real input, in minutes.",
}


def load_verb(verb: str) -> Any:
    """Import one verb and return its command, ready to invoke."""
    target = getattr(importlib.import_module(f"unflaw._cli._{verb}"), verb)
    if isinstance(target, typer.Typer):
        return get_group(target)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(verb, cls=Verb, epilog=epilog_of(target))(target)
    return get_command(single)


class LazyGroup(TyperGroup):
    """A group that knows its verbs by name and loads one only to run it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the verbs in the order a user meets them."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a stand-in that carries the verb's one line; enough for `--help` and completion."""
        return TyperCommand(cmd_name, help=VERBS[cmd_name]) if cmd_name in VERBS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Swap the stand-in for the real verb. A mistyped one is refused with the nearest name."""
        self.commands = {name: self.get_command(ctx, name) for name in VERBS}  # what typer suggests from
        name, stand_in, rest = TyperGroup.resolve_command(self, ctx, args)
        return name, load_verb(name) if name else stand_in, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; what goes wrong in it becomes words and an exit code."""
        try:
            return TyperGroup.invoke(self, ctx)
        except (UnflawError, OSError, KeyboardInterrupt) as error:
            if ctx.params["debug"]:
                raise
            raise leave(error, can_resume=_takes_resume(ctx.invoked_subcommand)) from None


def _takes_resume(verb: str) -> bool:
    command = load_verb(verb)
    leaves = [command, *getattr(command, "commands", {}).values()]
    return any(parameter.name == "resume" for leaf in leaves for parameter in leaf.params)


app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, rich_markup_mode=None)


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"unflaw {unflaw.__version__}")
        raise typer.Exit
    return wanted


@app.callback(epilog="\b\nExample:\n  unflaw audit synthetic.jsonl --reference real.jsonl --run runs/first")
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")] = False,
) -> None:
    """Find what is wrong with synthetic training data, mend it, and repair models it damaged."""


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    explain_bug(error)


def main() -> None:
    """Run the command line. Exit codes: 0 fine, 1 failed, 2 usage, 3 gate, 130 stopped by Ctrl-C."""
    if "--debug" not in sys.argv:
        sys.excepthook = _excepthook
        show_warnings_as_notes()
    get_command(app)(prog_name="unflaw")
