"""Tests see no network beyond this machine, no keys, and no choices of the person who runs them."""

import os
import socket

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for name in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[name]


@pytest.fixture(autouse=True)
def _stay_on_this_machine(request, monkeypatch):
    if "network" in request.keywords:
        return
    connect = socket.socket.connect

    def refuse_strangers(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise AssertionError(f"a test reached for the network: {address}; mark it `network` or use a fake")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse_strangers)
