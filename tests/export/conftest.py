"""What the tests of C libraries share."""

import shutil

import pytest


@pytest.fixture
def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        pytest.skip("there is no C compiler")
    return found
