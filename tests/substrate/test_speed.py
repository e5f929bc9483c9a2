"""Speed: what a cited rate or cited times imply, by hand; and what no number is there for."""

import pytest

from demands import dense
from tracegrad.substrate.presets import load, names, parse
from tracegrad.substrate.speed import Work, seconds, speed

ASKED = dense(40, 50, 10)  # 5000 synapses, steps of 1 ms


def mine(**limits):
    rows = "".join(f"{k} = {{ value = {v}, source = 'A' }}\n" for k, v in limits.items())
    head = 'name = "Mine"\nkind = "digital"\nsummary = "a chip"\n[sources]\nA = "its manual"\n'
    return parse(f"{head}[limits]\n{rows}", "mine.toml")


def test_only_brainscales_has_a_number_and_it_is_without_learning():
    # Its documentation: emulation is accelerated by a factor of 1000; of 1 ms steps 10^6 a second.
    for name in names():
        found = speed(ASKED, load(name))
        assert found.needed == "1,000" and found.fits is None
        if name == "brainscales2":
            assert found.there.startswith("1,000,000 without learning") and found.source == "H"
        else:
            assert (found.there, found.source) == ("unknown", "")


@pytest.mark.parametrize(("value", "fits"), [(1000, True), (999, False)])
def test_a_cited_rate_is_compared(value, fits):
    assert speed(ASKED, mine(steps_per_second=value)).fits is fits


def test_a_device_slower_than_its_network_cannot_keep_up():
    assert speed(ASKED, mine(acceleration=0.5)).fits is False


TIMES = {
    "nanoseconds_per_step": 100_000,
    "nanoseconds_per_synaptic_operation": 20,
    "nanoseconds_per_weight_update": 100,
}


def test_times_are_bounds_from_both_sides():
    # 100 us, and 5000 x (20 + 100) ns = 600 us where all are busy: 1 / 0.7 ms and 1 / 0.1 ms.
    found = speed(ASKED, mine(**TIMES))
    assert found.there == "1,429 to 10,000, as spikes are many or none" and found.fits is True
    faster = speed(ASKED._replace(dt=5e-4), mine(**TIMES))
    assert faster.needed == "2,000" and faster.fits is None, "it depends on spikes"
    assert speed(ASKED._replace(dt=9e-5), mine(**TIMES)).fits is False
    silent = {k: v for k, v in TIMES.items() if k != "nanoseconds_per_weight_update"}
    bound = speed(ASKED, mine(**silent))
    assert bound.there == "at most 10,000" and bound.fits is None


def test_a_step_takes_the_sum_of_what_is_done():
    limits = mine(**TIMES).limits
    assert seconds(limits, Work(10, 3)) == pytest.approx(1e-9 * (100_000 + 200 + 300))
    lacking = mine(nanoseconds_per_step=1).limits
    assert seconds(lacking, Work(0, 0)) == 1e-9 and seconds(lacking, Work(1, 0)) is None
