"""Where torch is missing, one sentence says how to install it."""

import importlib.util

import pytest

from tracegrad.errors import UsageError


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_without_torch_one_sentence_says_how_to_install_it():
    with pytest.raises(UsageError, match=r"PyTorch modules need .* torch, .*'tracegrad\[torch\]'"):
        import tracegrad.interop.torch  # noqa: F401
