import pytest

from tracegrad.data.checks import at_least, whole_steps, within
from tracegrad.errors import UsageError


def test_what_holds_passes():
    at_least(1, a=1, b=2)
    within(0.0, 1.0, a=0.0, b=1.0)
    whole_steps(2e-3, a=2e-3, b=0.1)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: at_least(1, a=1, b=0), "b must be at least 1, got 0"),
        (lambda: within(0.0, 1.0, a=1.5), r"a must lie in \[0.0, 1.0\], got 1.5"),
        (lambda: within(0.0, 1.0, a=float("nan")), r"a must lie in \[0.0, 1.0\], got nan"),
        (lambda: whole_steps(2e-3, a=3e-3), "a must be a multiple of dt = 0.002 s, got 0.003 s"),
        (lambda: whole_steps(2e-3, a=0.0), "a must be a positive whole number of microseconds"),
        (lambda: whole_steps(0.0, a=1.0), "dt must be a positive whole number of microseconds"),
    ],
)
def test_the_rest_is_refused(check, message):
    with pytest.raises(UsageError, match=message):
        check()
