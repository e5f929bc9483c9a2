"""The page of the `run` of a file of tests."""

from collections.abc import Iterator

import pytest

from .opened import opened


@pytest.fixture(scope="module")
def page(run) -> Iterator:
    with opened(run) as tab:
        yield tab
