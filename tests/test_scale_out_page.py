"""The tables of docs/scale_out.md are those of the result file, and paper says what is compiled."""

import json
import sys
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import scale_out

    return scale_out


def test_the_page_is_that_of_the_result_file(made):
    page = made.PAGE.read_text()
    assert made.written(page) == page, "run: python bench/scale_out.py --page"
    content = json.loads((made.result.FOLDER / "scale_out.json").read_text())
    assert not content["commit"].endswith("dirty")


def test_a_polynomial_is_the_same_at_every_size(made):
    def bytes_of(n: int) -> object:
        return made.Bytes(Fraction(3 * n * n + 5 * n + 7), Fraction(2 * n + 1))

    known = {n: bytes_of(n) for n in (64, 128, 640)}
    assert made.on_paper(known, 10**7) == bytes_of(10**7)
    most = made.largest(known)
    assert most % made.DEVICES == 0
    assert bytes_of(most).stays <= made.HOLDS < bytes_of(most + made.DEVICES).stays


def test_a_table_says_what_fits_and_what_is_on_paper(made):
    small = made.row("recurrent", 64, "compiled", made.Bytes(Fraction(10**6), Fraction(500)))
    large = made.row("recurrent", 640, "on paper", made.Bytes(Fraction(10**11), Fraction(10**9)))
    full = made.row("recurrent", 128, "fits", made.Bytes(Fraction(8 * 10**10), Fraction(10**6)))
    text = made.lines([small, large, full])
    assert "| recurrent | 64 | compiled | 1 | 0.5 | 0.000597 | 1e-05 | yes |" in text
    assert "| recurrent | 640 | on paper | 100,000 | 1,000,000 | 59.7 | 20 | no |" in text
    assert "128" not in text
    assert "| recurrent | 128 | 5.12 | 47.8 | 0.02 |" in made.cluster([small, large, full])
