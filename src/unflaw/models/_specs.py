"""Model spec strings: one way to name a model, wherever it lives.

smollm2                  the embedded language model
hf:PATH_OR_ID            a transformers checkpoint: a folder, or a hub id when online
peft:PATH                an adapter folder; its base model is found through adapter_config.json
gguf:PATH                a GGUF file
openai:MODEL@BASE_URL    a server that speaks the OpenAI protocol, e.g. openai:llama3@http://localhost:11434/v1
potion, minilm           the embedded encoders

A bare path to a checkpoint folder, an adapter folder or a .gguf file is recognised too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from unflaw._errors import SpecError, did_you_mean
from unflaw.models._devices import refuse_device
from unflaw.models._embedded import asset_folder, embedded_checkpoint
from unflaw.models._encoders import MeanPoolEncoder, StaticEncoder
from unflaw.models._gguf import cached_gguf, why_not_gguf
from unflaw.models._hf import (
    HFGenerator,
    HFScorer,
    adapter_base,
    checkpoint_folders,
    found_name,
    load_adapter,
    load_causal,
)
from unflaw.models._llama import LlamaGenerator, LlamaServer
from unflaw.models._protocols import Encoder, Generator, Scorer

__all__ = [
    "ModelSpec",
    "find_causal",
    "local_folder",
    "open_causal",
    "open_encoder",
    "open_generator",
    "open_scorer",
    "parse_causal",
    "parse_spec",
    "serve",
    "weight_paths",
]

Kind = Literal["smollm2", "hf", "peft", "gguf", "openai", "potion", "minilm"]

NAMED = ("smollm2", "potion", "minilm")
"""Specs that are complete as they are."""

FORMS = "smollm2, hf:PATH_OR_ID, peft:PATH, gguf:PATH, openai:MODEL@BASE_URL, potion, minilm"


@dataclass(frozen=True)
class ModelSpec:
    """A spec string, taken apart. `str(spec)` puts it together again."""

    kind: Kind
    name: str
    """Path, hub id or model name; for embedded models the same as `kind`."""
    base_url: str = ""
    """Where the server is; `openai` only."""

    def __str__(self) -> str:
        """Return the canonical spec string."""
        if self.kind in NAMED:
            return self.kind
        return f"{self.kind}:{self.name}" + (f"@{self.base_url}" if self.base_url else "")


def parse_spec(spec: str | ModelSpec) -> ModelSpec:
    """Take a spec string apart. Touches the disk only to recognise a bare path.

    >>> parse_spec("openai:llama3@http://localhost:11434/v1")
    ModelSpec(kind='openai', name='llama3', base_url='http://localhost:11434/v1')

    Raises SpecError, with the nearest known form, when the string names nothing.
    """
    if isinstance(spec, ModelSpec):
        return spec
    kind, colon, name = spec.strip().partition(":")
    if kind in NAMED and not colon:
        return ModelSpec(kind=kind, name=kind)  # type: ignore[arg-type]
    if kind == "openai":
        return _parse_server(spec, name)
    if kind in ("hf", "peft", "gguf") and name:
        return ModelSpec(kind=kind, name=name)  # type: ignore[arg-type]
    found = _recognise(Path(spec).expanduser())
    if found is not None:
        return found
    if not colon and re.fullmatch(r"[\w.-]+/[\w.-]+", spec):
        raise SpecError(f"`{spec}` is no checkpoint folder here; for a model of the hub write hf:{spec}")
    raise SpecError(f"`{spec}` names no model. {did_you_mean(kind, get_args(Kind))} Forms: {FORMS}")


def parse_causal(spec: str | ModelSpec) -> ModelSpec:
    """Take apart the spec string of a model that can be trained. Raises SpecError for others."""
    spec = parse_spec(spec)
    _refuse(spec, ("potion", "minilm"), "is an encoder, not a language model")
    _refuse(spec, ("gguf", "openai"), "can only write: it gives neither weights nor log-probabilities of given text")
    return spec


def find_causal(spec: str | ModelSpec) -> ModelSpec:
    """Do as `parse_causal`, and look for the folder it names. Raises SpecError where that is missing."""
    spec = parse_causal(spec)
    if spec.kind == "peft":
        found_name(adapter_base(Path(spec.name).expanduser()))
    if spec.kind == "hf":
        found_name(spec.name)
    return spec


def open_generator(
    spec: str | ModelSpec, *, n_parallel: int = 8, device: str = "cpu", cache_dir: Path | None = None
) -> Generator:
    """Open a model that writes text.

    On the CPU everything llama.cpp can run goes through it: the embedded model and fine-tuned
    checkpoints alike from an 8-bit export in the cache, so that comparing them is fair. Other
    architectures and other devices go through transformers.
    """
    spec = parse_spec(spec)
    if spec.kind == "openai":
        from unflaw.models._openai import OpenAIGenerator

        return OpenAIGenerator(spec.name, spec.base_url, n_parallel=n_parallel)
    _refuse(spec, ("potion", "minilm"), "maps text to vectors and cannot write; open it with open_encoder")
    path = _gguf_path(spec, cache_dir) if device == "cpu" or spec.kind == "gguf" else None
    if path is not None:
        return LlamaGenerator(path, n_parallel=n_parallel)
    return HFGenerator(*open_causal(spec, device), batch_size=2 * n_parallel)


def open_scorer(spec: str | ModelSpec, device: str = "cpu") -> Scorer:
    """Open a model that knows how likely a text is."""
    return HFScorer(*open_causal(spec, device))


def open_encoder(spec: str | ModelSpec, device: str = "cpu") -> Encoder:
    """Open a model that maps text to vectors: `potion`, `minilm`, or `hf:` with a folder."""
    spec = parse_spec(spec)
    refuse_device(device)
    if spec.kind == "potion":
        return StaticEncoder(asset_folder("potion"))
    if spec.kind == "minilm":
        return MeanPoolEncoder(asset_folder("minilm"), device=device)
    if spec.kind == "hf":
        return MeanPoolEncoder(Path(spec.name).expanduser(), device=device)
    raise SpecError(f"`{spec}` is no encoder; use potion, minilm or hf:PATH")


def open_causal(
    spec: str | ModelSpec, device: str = "cpu", *, shards: int = 1, precision: str = "float32", frozen: bool = False
) -> tuple[Any, Any]:
    """Open (model, tokenizer) as torch, for training and scoring; `shards`, `precision`, `frozen`: see `load_causal`.

    A model with an adapter is fp32, as its weights are written anew when they are merged.
    Raises SpecError where an adapter would have to be split, SettingsError where there is no such device.
    """
    spec = parse_causal(spec)
    refuse_device(device)
    if spec.kind in ("smollm2", "hf"):
        name = embedded_checkpoint() if spec.kind == "smollm2" else spec.name
        return load_causal(name, device, shards=shards, precision=precision, frozen=frozen)
    if shards > 1:
        raise SpecError(f"`{spec}` is an adapter, and those are not split; merge it into its base and take hf:FOLDER")
    return load_adapter(spec.name, device)


@contextmanager
def serve(spec: str | ModelSpec, port: int = 0, *, n_parallel: int = 4) -> Iterator[str]:
    """Serve a local model over HTTP with the OpenAI protocol, on this machine only; yield the base URL.

    >>> with serve("smollm2") as base_url:  # doctest: +SKIP
    ...     open_generator(f"openai:smollm2@{base_url}")
    """
    spec = parse_spec(spec)
    path = _gguf_path(spec, None)
    if path is None:
        raise SpecError(f"`{spec}` cannot be served: only what llama.cpp can run")
    server = LlamaServer(path, n_parallel=n_parallel, context=4096, port=port, api_key="")
    try:
        yield f"{server.address}/v1"
    finally:
        server.close()


def local_folder(spec: str | ModelSpec, cache_dir: Path | None = None) -> Path | None:
    """Return the checkpoint folder behind a spec, or None when it is not a folder on this machine."""
    spec = parse_spec(spec)
    if spec.kind == "smollm2":
        return embedded_checkpoint(cache_dir)
    folder = Path(spec.name).expanduser()
    return folder if spec.kind in ("hf", "peft") and folder.is_dir() else None


def weight_paths(spec: str | ModelSpec, cache_dir: Path | None = None) -> list[Path]:
    """Return what on this machine decides what a model writes: its folder or file, then an adapter's base.

    Equal contents there mean equal answers. Empty for a server and for a hub id.
    """
    spec = parse_spec(spec)
    if spec.kind == "gguf":
        return [Path(spec.name).expanduser()]
    folder = local_folder(spec, cache_dir)
    return [] if folder is None else checkpoint_folders(folder)


def _gguf_path(spec: ModelSpec, cache: Path | None) -> Path | None:
    """Return a GGUF file for the model, exporting it into the cache if need be; None if it cannot be one."""
    if spec.kind == "gguf":
        path = Path(spec.name).expanduser()
        if not path.is_file():
            raise SpecError(f"`{spec}` must name an existing file")
        return path
    folder = local_folder(spec, cache)
    return None if folder is None or why_not_gguf(folder) else cached_gguf(folder, cache)


def _parse_server(spec: str, rest: str) -> ModelSpec:
    match = re.fullmatch(r"(?P<model>.+?)@(?P<url>https?://[^@\s]+)", rest)
    if match is None:
        shown = re.sub(r"//[^/]*@", "//...@", spec)  # what stands before an @ may be a password
        raise SpecError(
            f"`{shown}` must look like openai:MODEL@BASE_URL with an http(s) address, e.g. "
            "openai:llama3@http://localhost:11434/v1; keys come from the environment, never from the spec"
        )
    return ModelSpec("openai", match["model"], match["url"].rstrip("/"))


def _recognise(path: Path) -> ModelSpec | None:
    if path.suffix == ".gguf" and path.is_file():
        return ModelSpec("gguf", str(path))
    if (path / "adapter_config.json").is_file():
        return ModelSpec("peft", str(path))
    if (path / "config.json").is_file():
        return ModelSpec("hf", str(path))
    return None


def _refuse(spec: ModelSpec, kinds: tuple[str, ...], reason: str) -> None:
    if spec.kind in kinds:
        raise SpecError(f"`{spec}` {reason}")
