"""A recipe: the same verbs and flags as on the command line, written down in a YAML file.

    run: runs/first          # given to every step that has such a flag
    seed: 0
    steps:
      - audit:
          synthetic: synthetic.jsonl
          reference: real.jsonl
      - report

A key is a flag without its dashes, or the name of an argument. The verbs themselves say what is
known, so a recipe can never lag behind the command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from unflaw._cli._app import VERBS, load_verb
from unflaw._errors import DataError, SettingsError, did_you_mean

__all__ = ["Step", "read_recipe"]

_NOT_A_STEP = {"run"}
_UNLESS = {"repair": {"replay": "interpolate"}}
"""Verb → a key it must have, unless it has the other."""


@dataclass(frozen=True)
class Step:
    """One verb, ready to run."""

    path: str
    """Where it stands in the file, e.g. "steps[1].audit"."""
    words: tuple[str, ...]
    """What a user would type after `unflaw`."""

    def __str__(self) -> str:
        return shlex.join(["unflaw", *self.words])

    def run(self) -> None:
        """Run it as the command line would. Raises what the verb raises."""
        command, rest = _command_of(self.words)
        with command.make_context(self.path, rest) as context:
            command.invoke(context)


def read_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> list[Step]:
    """Read a recipe and resolve its steps; `overrides` beat the defaults at the top of the file.

    Raises
    ------
    DataError
        The file is not YAML.
    SettingsError
        Verbs, keys or values are wrong: all mistakes at once, each with its place in the file.
    """
    recipe = _load(path)
    problems: list[str] = []
    defaults = {**{key: value for key, value in recipe.items() if key != "steps"}, **(overrides or {})}
    steps = recipe.get("steps")
    if not isinstance(steps, list) or not steps:
        raise SettingsError(f"`steps` in {path} must be a list of verbs, got {steps!r}")
    resolved = [_resolve(f"steps[{i}]", entry, defaults, problems) for i, entry in enumerate(steps)]
    used = {key for step in resolved if step for key in step[1]}
    problems += [
        f"`{key}` fits no step of this recipe. {did_you_mean(key, used | {'steps'})}"
        for key in defaults
        if not problems and key not in used and key not in (overrides or {})
    ]
    if problems:
        raise SettingsError(problems)
    return [step[0] for step in resolved if step]


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"`{path}` is not YAML: {error}") from None
    if not isinstance(recipe, dict):
        raise SettingsError(f"`{path}` must hold `steps: [...]`, got {type(recipe).__name__}")
    return {str(key): value for key, value in recipe.items()}


def _resolve(path: str, entry: Any, defaults: Mapping[str, Any], problems: list[str]) -> tuple[Step, set[str]] | None:
    """Turn one entry into a step and the keys its verb knows, or add to `problems`."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or len(entry) != 1:
        problems.append(f"`{path}` must be one verb with its settings, got {entry!r}")
        return None
    (verb, given), before = next(iter(entry.items())), len(problems)
    command = _find(path, str(verb), problems)
    if command is None:
        return None
    path = f"{path}.{verb}"
    if not isinstance(given or {}, dict):
        problems.append(f"`{path}` must be `key: value` lines, got {given!r}")
        return None
    parameters = {_key(p): p for p in command.params if p.name != "help"}
    settings = {str(key).replace("_", "-"): value for key, value in (given or {}).items()}
    problems += [f"`{path}.{key}` is unknown. {did_you_mean(key, parameters)}" for key in settings.keys() - parameters]
    settings = {
        key: value for key, value in {**defaults, **settings}.items() if key in parameters and value is not None
    }
    problems += [f"`{path}.{key}` is missing" for key, p in parameters.items() if p.required and key not in settings]
    if missing := _UNLESS.get(str(verb), {}).keys() - settings.keys():
        problems += [f"`{path}.{key}` is missing" for key in missing if _UNLESS[str(verb)][key] not in settings]
    context = typer.Context(command, info_name=str(verb))
    for key, value in settings.items():
        problems += _wrong(context, parameters[key], value, f"{path}.{key}")
    words = _words(str(verb), parameters, settings) if len(problems) == before else ()
    return Step(path, words), set(parameters)


def _find(path: str, verb: str, problems: list[str]) -> Any:
    name, *rest = verb.split()
    if name not in VERBS or name in _NOT_A_STEP:
        problems.append(f"`{path}` is {verb!r}, no verb. {did_you_mean(verb, VERBS.keys() - _NOT_A_STEP)}")
        return None
    command = load_verb(name)
    inner = getattr(command, "commands", None)
    if inner is None and not rest:
        return command
    if inner and len(rest) == 1 and rest[0] in inner:
        return inner[rest[0]]
    problems.append(f"`{path}` is {verb!r}. {did_you_mean(verb, [f'{name} {sub}' for sub in inner or ['']])}")
    return None


def _command_of(words: tuple[str, ...]) -> tuple[Any, list[str]]:
    command, rest = load_verb(words[0]), list(words[1:])
    return (command.commands[rest[0]], rest[1:]) if hasattr(command, "commands") else (command, rest)


def _key(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).replace("_", "-")
    return str(max(parameter.opts, key=len)).lstrip("-")


def _wrong(context: Any, parameter: Any, value: Any, path: str) -> list[str]:
    """Ask the parameter itself whether the value would do."""
    if getattr(parameter, "is_flag", False):
        return [] if isinstance(value, bool) else [f"`{path}` must be true or false, got {value!r}"]
    if isinstance(value, dict):
        return [f"`{path}` must be a value or a list, got {value!r}"]
    many = getattr(parameter, "multiple", False) or parameter.nargs != 1
    if isinstance(value, list) and not many:
        return [f"`{path}` takes one value, got {len(value)}"]
    try:
        parameter.process_value(context, tuple(_texts(value)) if many else str(value))
    except typer.BadParameter as error:
        return [f"`{path}`: {error.message}"]
    return []


def _texts(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def _words(verb: str, parameters: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Write settings as a command line: flags first, then arguments in their own order."""
    flags: list[str] = []
    for key, value in settings.items():
        parameter = parameters[key]
        if parameter.param_type_name == "argument":
            continue
        flag = max(parameter.opts, key=len)
        if not getattr(parameter, "is_flag", False):
            flags += [word for text in _texts(value) for word in (flag, text)]
        elif value:
            flags.append(flag)
        else:
            flags += parameter.secondary_opts[:1]
    arguments = [
        text
        for key, parameter in parameters.items()
        if parameter.param_type_name == "argument" and key in settings
        for text in _texts(settings[key])
    ]
    guard = ["--"] if any(text.startswith("-") for text in arguments) else []
    return (*verb.split(), *flags, *guard, *arguments)
