import math

import pytest

from tracegrad.data.curriculum import Curriculum
from tracegrad.errors import UsageError


def test_it_grows_by_one_below_the_threshold_and_never_beyond_the_highest():
    now = Curriculum(2, 3, 0.15, make=lambda level: f"task {level}")
    assert now.after(0.149 * math.log(2)) == "task 3"  # 0.149 bits, in nats
    assert now.after(0.151 * math.log(2)) is None
    assert Curriculum(3, 3, 0.15, make=str).after(0.0) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3, 0.15), "level must be at least 1, got 0"),
        ((4, 3, 0.15), "level must be at most highest = 3 and threshold positive, got 4 and 0.15"),
        ((1, 3, 0.0), "level must be at most highest = 3 and threshold positive, got 1 and 0.0"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(UsageError, match=message):
        Curriculum(*arguments, make=str)
