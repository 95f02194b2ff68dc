"""Devices: a name that there is not, and one that is not here."""

import pytest

from unflaw._errors import SettingsError
from unflaw.audit import CopiesCheck, audit
from unflaw.data import Rows
from unflaw.models import device_problem, has_bfloat16, open_scorer


@pytest.mark.parametrize("name", ["gpu", "cuda:", "CPU", "cuda:one", ""])
def test_what_is_no_device_is_refused_before_anything_is_read(name):
    rows = Rows.from_records([{"text": "a"}, {"text": "b"}], {"text": "text"})
    with pytest.raises(SettingsError, match="must be cpu, cuda, cuda:N or mps"):
        audit(rows, checks=[CopiesCheck()], device=name)


def test_a_device_that_is_not_here_is_refused_where_a_model_is_opened(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert (device_problem("cuda"), device_problem("cuda:0"), device_problem("cpu")) == ("", "", "")
    assert device_problem("cuda:1", here=False) == ""  # it may be on another machine
    with pytest.raises(SettingsError, match="sees no such device here"):
        open_scorer("smollm2", "cuda:1")


@pytest.mark.parametrize(
    ("has", "told"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False, "avx512_bw": False}, False),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True, "avx512_bw": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False, "avx512_bw": True}, False),
        ({"architecture": "aarch64"}, True),
        ({}, True),
    ],
)
def test_a_processor_without_bfloat16_is_known_from_its_capabilities(monkeypatch, has, told):
    import torch

    has = {"avx_ne_convert": False, **has} if has else has
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert has_bfloat16("cpu") is told
