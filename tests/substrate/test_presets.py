"""Presets: read strictly, each number with a source, unknown where not confirmed; and fit."""

from dataclasses import fields
from importlib.resources import files

import pytest

from demands import dense
from tracegrad.errors import UsageError
from tracegrad.substrate.decays import HeldDecays, ShiftDecays
from tracegrad.substrate.fit import fit
from tracegrad.substrate.fixed import Fixed, Saturate
from tracegrad.substrate.from_preset import substrate
from tracegrad.substrate.number import Number
from tracegrad.substrate.presets import load, names, parse
from tracegrad.substrate.rounding import Floor, Lfsr, Stochastic
from tracegrad.substrate.scale import PerMatrix
from tracegrad.substrate.update import Accumulate, Direct
from tracegrad.substrate.weights import Weights

ALL = "brainscales2 dynapse2 loihi1 loihi2 mcu8 reckon spinnaker2 xylo".split()
HEAD = """
name = "Mine"
kind = "digital"
summary = "a chip"
[sources]
A = "its manual"
"""


def test_there_are_these():
    assert names() == ALL


@pytest.mark.parametrize("name", ALL)
def test_each_is_read_and_makes_a_substrate(name):
    preset = load(name)
    assert substrate(name).name == preset.name
    cited = [limit for f in fields(preset.limits) if (limit := getattr(preset.limits, f.name))]
    assert all(set(limit.source.split(", ")) <= set(preset.sources) for limit in cited)
    unused = set(preset.sources)
    text = files("tracegrad.substrate").joinpath("presets", f"{name}.toml").read_text()
    for letter in preset.sources:
        if f'source = "{letter}"' in text:
            unused.discard(letter)
    assert not unused, "a source that nothing is read from"


def test_what_is_not_confirmed_is_unknown():
    assert load("loihi1").limits.picojoules_per_synaptic_operation is None
    assert load("loihi2").limits.delay_steps is None
    assert load("spinnaker2").numbers.weights is None
    assert load("brainscales2").flaws is None
    assert load("brainscales2").limits.delay_steps is None


def test_limits_are_those_of_their_sources():
    """As read: block.py of nengo-loihi, defaults.py of Rockpool, the data sheet, the handbook."""
    cited = {
        ("loihi1", "neurons_per_core"): (1024, "N"),
        ("loihi1", "axons_in_per_core"): (4096, "N"),
        ("loihi1", "axons_out_per_core"): (4096, "N"),
        ("loihi1", "synapse_bytes_per_core"): (1_048_576 // 8, "N"),
        ("dynapse2", "axons_in_per_core"): (2048, "D"),
        ("dynapse2", "destinations_per_neuron"): (4, "D"),
        ("dynapse2", "synapses_per_neuron"): (64, "D"),
        ("spinnaker2", "routes"): (16_384, "S"),
        ("spinnaker2", "bytes_per_core"): (128_000, "S"),
        ("brainscales2", "acceleration"): (1000, "H"),
    }
    for (name, limit), (value, source) in cited.items():
        found = getattr(load(name).limits, limit)
        assert (found.value, found.source) == (value, source), (name, limit)
    for name in ("loihi1", "loihi2"):
        tags = load(name).numbers.tags
        assert (tags.bits, tags.signed, tags.source) == (9, True, "L")
    timed = "steps_per_second nanoseconds_per_step nanoseconds_per_synaptic_operation".split()
    assert all(getattr(load(name).limits, each) is None for name in ALL for each in timed)


def test_numbers_become_objects():
    xylo, loihi, reckon = substrate("xylo"), substrate("loihi1"), substrate("reckon")
    assert xylo.states == Number(Fixed(16, 10), Floor()) and xylo.decays == ShiftDecays()
    assert loihi.traces == Number(Fixed(7, 3, signed=False), Stochastic(shared=True))
    assert reckon.weights == Weights(Fixed(8), PerMatrix(2.0), Direct(Stochastic(), most=1))
    assert substrate("dynapse2").mismatch.time_constants == 0.1


def test_what_is_left_to_software_is_a_choice_and_no_fact():
    """A substrate has it, so that something can learn there; what fits is asked of facts alone."""
    one, two = load("loihi1"), load("loihi2")
    assert one.numbers.signals is None and one.program.signals is not None
    assert one.program.signals.source == "P" and "no fact" in one.sources["P"]
    assert substrate("loihi1").signals == Number(Fixed(16, 14))
    assert two.numbers.decays is None
    assert substrate("loihi2").decays == HeldDecays(Number(Fixed(12, 12, signed=False)))
    asked = SMALL._replace(words={"weights": 680, "state": 24, "traces": 54, "signal": 20})
    memory = [c for c in fit(asked, one).checks if c.what == "memory"][0]
    assert memory.fits is None and "signal of unknown width" in memory.needed


@pytest.mark.parametrize("name", ALL)
def test_one_draw_a_step_is_for_all_where_the_order_says_so(name):
    order, there = load(name).order, substrate(name)
    scope = None if order is None else order.random
    numbers = [there.traces, there.signals, there.slopes, there.states]
    roundings = [number.rounding for number in numbers if number is not None]
    if isinstance(there.weights and there.weights.update, Direct):
        roundings.append(there.weights.update.rounding)
    drawn = [r.shared for r in roundings if isinstance(r, Stochastic)]
    assert scope is None or (drawn and all(shared == (scope == "shared") for shared in drawn))


def test_a_user_s_own_file(tmp_path):
    path = tmp_path / "mine.toml"
    body = HEAD + (
        '[numbers.weights]\nsource = "A"\nbits = 4\nscale = "neuron"\nrounding = "nearest"\n'
        "accumulator_bits = 12\naccumulator_fraction = 8\n"
        "[limits]\nneurons = { value = 10, source = 'A' }\n"
    )
    path.write_text(body)
    mine = substrate(str(path)).weights
    assert mine.format == Fixed(4, 0, True, Saturate())
    assert isinstance(mine.update, Accumulate) and mine.update.format == Fixed(12, 8)


def test_a_file_of_registers_and_of_signals_that_are_not_sent(tmp_path):
    path = tmp_path / "mine.toml"
    traces = '[numbers.traces]\nsource = "A"\nbits = 8\nrounding = "{}"\n'
    path.write_text(HEAD + traces.format("lfsr") + "[program]\nsignal_threshold = 0.25\n")
    mine = substrate(str(path))
    assert mine.traces == Number(Fixed(8), Lfsr()) and mine.signal_threshold == 0.25
    path.write_text(HEAD + traces.format("lfsr_shared"))
    assert substrate(str(path)).traces == Number(Fixed(8), Lfsr(shared=True))
    assert substrate("mcu8").signal_threshold == 0.0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[limits]\nneuron = 3", "there is no key limits.neuron, expected one of cores, neurons"),
        ("[limits]\nneurons = 3", "limits.neurons must be a table, got 3"),
        (
            "[limits]\nneurons = { value = '3', source = 'A' }",
            "limits.neurons.value must be a whole number or a number, got '3'",
        ),
        ("[limits]\nneurons = { value = 3 }", "limits.neurons.source is missing"),
        (
            "[limits]\nneurons = { value = 3, source = 'B' }",
            r"limits.neurons.source must be one of the \[sources\], A, got 'B'",
        ),
        ("[numbers]\nshift_decays = 1", "numbers.shift_decays must be true or false, got 1"),
        (
            "[numbers.states]\nsource = 'A'\nbits = 8\nrounding = 'up'",
            "numbers.states.rounding must be one of nearest, floor, .* got 'up'",
        ),
        ("[order]\nsource = 'A'\nevents = [1]", r"order.events\[0\] must be text, got 1"),
        (
            "[order]\nsource = 'A'\nrandom = 'shared'\n"
            "[numbers.traces]\nsource = 'A'\nbits = 8\nrounding = 'stochastic'",
            "numbers.traces.rounding is stochastic, but order.random is shared. Make them agree",
        ),
        (
            "[order]\nsource = 'A'\nrandom = 'element'\n"
            "[numbers.traces]\nsource = 'A'\nbits = 8\nrounding = 'lfsr_shared'",
            "numbers.traces.rounding is lfsr_shared, but order.random is element. Make them agree",
        ),
        (
            "[numbers]\nshift_decays = true\n[program.decays]\nsource = 'A'\nbits = 8",
            r"program.decays is given, but \[numbers\] has the platform's own",
        ),
        ("[", "is no valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_key(more, message):
    with pytest.raises(UsageError, match=f"mine.toml:? .*{message}"):
        parse(HEAD + more, "mine.toml")


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match="There is no substrate loihi3. There are brainscales2"):
        load("loihi3")
    with pytest.raises(UsageError, match="There is no substrate file none.toml"):
        load("none.toml")


SMALL = dense(10, 20, 4, ("pre_trace", "neuron_state", "signal"))._replace(
    words={"weights": 680, "state": 24, "traces": 54, "signal": 0}
)


def verdicts(demand, name):
    return {check.what: check.fits for check in fit(demand, load(name)).checks}


def test_what_fits_does_not_and_is_unknown():
    reckon = verdicts(SMALL, "reckon")
    assert reckon["neurons"] and reckon["memory"] and reckon["learning reads"]
    assert reckon["synapses"] is None
    assert fit(SMALL, load("reckon")).fits is None, "an unknown is never a yes"
    many = SMALL._replace(neurons=257, outputs=17)
    assert not verdicts(many, "reckon")["neurons"] and not verdicts(many, "reckon")["readout units"]
    assert fit(many, load("reckon")).fits is False
    assert verdicts(SMALL._replace(fan_in=65), "dynapse2")["synapses of a neuron"] is False
    assert verdicts(SMALL._replace(fan_in=64), "dynapse2")["synapses of a neuron"] is True
    assert verdicts(SMALL, "xylo")["learning reads"] is False
    loihi = [c for c in fit(SMALL, load("loihi1")).checks if c.what == "learning reads"][0]
    assert loihi.there.endswith("lacks neuron_state, signal")
    assert verdicts(SMALL, "loihi2")["learning reads"]
    assert verdicts(SMALL, "spinnaker2")["memory"] is None, "widths are the program's"


def test_memory_counts_every_kind_in_its_own_width():
    # 680 x 8 + 24 x 16 + 54 x 12 bits, rounded down to bytes.
    memory = [c for c in fit(SMALL, load("reckon")).checks if c.what == "memory"][0]
    assert memory.needed == f"{(680 * 8 + 24 * 16 + 54 * 12) // 8} bytes"
    big = SMALL._replace(words={"weights": 141313, "state": 0, "traces": 0, "signal": 0})
    assert verdicts(big, "reckon")["memory"] is False


def test_a_rule_that_is_not_local_needs_software():
    far = SMALL._replace(not_local=("layers.0.weight",))
    assert verdicts(far, "reckon")["locality"] is False
    assert verdicts(far, "spinnaker2")["locality"] is True
