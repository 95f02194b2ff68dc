"""A command that tells all that is wrong with a call at once: values that cannot be read, and what else it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from unflaw._cli._shared import console, mistakes, out
from unflaw._errors import SettingsError, UnflawError

__all__ = ["Verb"]

_UNREAD = "unflaw.unread"
"""Where a call keeps its parameters whose values cannot be read, each with what is wrong."""


class Verb(TyperCommand):
    """A command whose unreadable values do not hide its other mistakes.

    They are taken for their defaults; then a verb with `--dry-run` is asked what else is wrong.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List arguments and options, those of a panel under its name."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if (told := parameter.get_help_record(ctx)) is not None:
                other = "Arguments" if parameter.param_type_name == "argument" else "Options"
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or other, []).append(told)
        for name, told_of in sections.items():
            if told_of:
                with formatter.section(name):
                    formatter.write_dl(told_of)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read every value, and remember those that cannot be read."""
        unread: dict[str, str] = {}
        ctx.meta[_UNREAD] = unread
        for parameter in self.params:
            parameter.process_value = _forgiving(parameter, parameter.process_value, unread)  # type: ignore[method-assign]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb, or say all that is wrong."""
        unread = ctx.meta[_UNREAD]
        if not unread:
            return super().invoke(ctx)
        told = list(unread.values())
        if "dry_run" in ctx.params and not any(p.required and p.name in unread for p in self.params):
            names = [f"`{option}`" for p in self.params if p.name in unread for option in (p.name, *p.opts)]
            told += [also for also in self._found_dry(ctx) if not any(name in also for name in names)]
        raise SettingsError(told)

    def _found_dry(self, ctx: Any) -> list[str]:
        """Return what the verb says is wrong, doing nothing."""
        ctx.params["dry_run"] = True
        console.quiet, out.quiet, quiet = True, True, (console.quiet, out.quiet)
        try:
            return mistakes(lambda: super(Verb, self).invoke(ctx))
        except (UnflawError, OSError, typer.Exit):
            return []
        finally:
            console.quiet, out.quiet = quiet


def _forgiving(parameter: Any, read: Callable[..., Any], unread: dict[str, str]) -> Callable[..., Any]:
    def process_value(ctx: Any, value: Any) -> Any:
        try:
            return read(ctx, value)
        except typer.BadParameter as error:
            error.ctx, error.param = ctx, parameter
            name = parameter.name if parameter.param_type_name == "argument" else max(parameter.opts, key=len)
            unread[parameter.name] = error.format_message() if value is None else f"`{name}` {value}: {error.message}"
            return parameter.get_default(ctx)

    return process_value
