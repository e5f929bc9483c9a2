"""From a preset to a substrate: the formats that are known, as objects."""

from tracegrad.substrate.decays import HeldDecays, ShiftDecays
from tracegrad.substrate.fixed import AbstractOverflow, Fixed, Saturate, Wrap
from tracegrad.substrate.mismatch import Mismatch
from tracegrad.substrate.number import Number
from tracegrad.substrate.presets import Flaws, Format, Preset, WeightFormat, load
from tracegrad.substrate.rounding import AbstractRounding, Floor, Lfsr, Nearest, Stochastic
from tracegrad.substrate.scale import AbstractScale, PerMatrix, PerNeuron, Point
from tracegrad.substrate.substrate import Substrate
from tracegrad.substrate.update import AbstractUpdate, Accumulate, Direct
from tracegrad.substrate.weights import Weights

OVERFLOWS: dict[str, AbstractOverflow] = {"saturate": Saturate(), "wrap": Wrap()}
ROUNDINGS: dict[str, AbstractRounding] = {
    "nearest": Nearest(),
    "floor": Floor(),
    "stochastic": Stochastic(),
    "stochastic_shared": Stochastic(shared=True),
    "lfsr": Lfsr(),
    "lfsr_shared": Lfsr(shared=True),
}


def substrate(name: str) -> Substrate:
    """The substrate of a preset, by its name or as the path of a TOML file.

        learner = tg.Learner(...).on(tg.substrates.substrate("mcu8"))

    What the platform leaves to software is as its file's `[program]` has it; what neither has, or
    what is unknown, is ideal.
    """
    return made(load(name))


def made(preset: Preset) -> Substrate:
    """The formats and flaws of a preset."""
    numbers, program = preset.numbers, preset.program
    decays, signals = numbers.decays or program.decays, numbers.signals or program.signals
    slopes = numbers.slopes or program.slopes
    held = None if decays is None else HeldDecays(number(decays))
    return Substrate(
        preset.name,
        None if numbers.weights is None else _weights(numbers.weights),
        None if numbers.states is None else number(numbers.states),
        ShiftDecays() if numbers.shift_decays else held,
        None if numbers.traces is None else number(numbers.traces),
        None if signals is None else number(signals),
        program.signal_threshold or 0.0,
        mismatch=None if preset.flaws is None else _mismatch(preset.flaws),
        slopes=None if slopes is None else number(slopes),
    )


def number(format: Format) -> Number:
    """A format and its rounding."""
    fixed = Fixed(format.bits, format.fraction, format.signed, OVERFLOWS[format.overflow])
    return Number(fixed, ROUNDINGS[format.rounding])


def _weights(given: WeightFormat) -> Weights:
    fixed = Fixed(given.bits, given.fraction, given.signed, OVERFLOWS[given.overflow])
    return Weights(fixed, _scale(given), _update(given))


def _scale(given: WeightFormat) -> AbstractScale:
    scales = {
        "matrix": PerMatrix(given.headroom),
        "neuron": PerNeuron(given.headroom),
        "point": Point(),
    }
    return scales[given.scale]


def _update(given: WeightFormat) -> AbstractUpdate:
    rounding = ROUNDINGS[given.rounding]
    if given.accumulator_bits is None:
        return Direct(rounding, given.most)
    wide = Fixed(given.accumulator_bits, given.accumulator_fraction or 0)
    return Accumulate(format=wide, rounding=rounding)


def _mismatch(flaws: Flaws) -> Mismatch:
    return Mismatch(flaws.time_constants, flaws.thresholds, flaws.gains)
