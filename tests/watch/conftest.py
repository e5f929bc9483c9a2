"""The page of the `run` of a file of tests."""

from collections.abc import Iterator

import pytest

from .opened import opened, served


@pytest.fixture(scope="module")
def page(run) -> Iterator:
    with served(run) as address, opened(address) as tab:
        yield tab
