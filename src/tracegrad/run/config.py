"""Config: all settings of a run, typed, checked when made; the command line is built from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tracegrad.data import TASKS
from tracegrad.errors import UsageError
from tracegrad.learn import losses, rules, signals
from tracegrad.model import LI, DoubleExponential, Integrator, Memoryless, surrogate
from tracegrad.run.convolutions import parse
from tracegrad.run.memory_size import bytes_of
from tracegrad.run.user_neuron import source_of
from tracegrad.substrate.presets import load

SURROGATES = {
    made.__name__: made
    for made in (
        surrogate.SuperSpike,
        surrogate.Triangle,
        surrogate.Sigmoid,
        surrogate.Arctan,
        surrogate.Boxcar,
        surrogate.StraightThrough,
    )
}
RULES = {made.__name__: made for made in rules.RULES}
SIGNALS = {
    "symmetric": signals.Symmetric,
    "random": signals.Random,
    "adaptive": signals.Adaptive,
    "uniform": signals.Uniform,
    "target": signals.Target,
    "local": signals.LocalReadout,
}
CLASS_LOSSES = {
    made.__name__: made
    for made in (
        losses.cross_entropy,
        losses.max_over_time,
        losses.first_spike_latency,
        losses.class_squared_error,
    )
}
VALUE_LOSSES = {made.__name__: made for made in (losses.mean_squared_error, losses.van_rossum)}
READOUTS = {
    "leaky": LI,
    "memoryless": Memoryless,
    "integrator": Integrator,
    "double_exponential": DoubleExponential,
}
READOUT_TAUS = {"leaky": "tau_mem", "double_exponential": "tau_decay"}
ON_NAN = ("stop", "skip")
_NUMBERS = ("tau_mem", "tau_syn", "tau_adapt", "surrogate_slope")


def _one_of(key: str, value: object, known: object) -> None:
    names = list(known)  # type: ignore[call-overload]  # a tuple or a mapping, both of names
    if value not in names:
        raise UsageError(f"{key} must be one of {', '.join(names)}, got {value!r}.")


def _at_least(key: str, value: int | float | None, low: int) -> None:
    if value is not None and not low <= value < float("inf"):
        raise UsageError(f"{key} must be at least {low} and finite, got {value}.")


def _positive(key: str, value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise UsageError(f"{key} must be a positive number, got {value}.")


@dataclass(frozen=True)
class NetworkConfig:
    """The network. Times in seconds; None: the neuron's own default."""

    conv: str | None = None
    """Layers on the map of a task that has one, before the hidden layers: 12c5s2-pool2-32c3p1 is 12
    channels, kernel 5, stride 2, then the sum of 2 x 2 lines, then kernel 3 with padding 1."""
    hidden: tuple[int, ...] = (128,)
    """Neurons of each hidden layer; with `conv` there may be none."""
    neuron: str = "LIF"
    """Neuron of the hidden layers: see `tracegrad neurons`, or FILE.py:Class for your own."""
    recurrent: bool = True
    """Connect every hidden layer to itself, one step later."""
    autapses: bool = True
    """Let a neuron connect to itself."""
    bias: bool = False
    """Give every hidden neuron a bias, one for each of its feed-forward currents."""
    tau_mem: float | None = None
    """Time constant of the membrane (s)."""
    tau_syn: float | None = None
    """Time constant of the synaptic current (s), of neurons that have one."""
    tau_adapt: float | None = None
    """Time constant of the adaptive threshold (s), of neurons that have one."""
    readout: str | None = None
    """Units of the readout: leaky, memoryless, integrator (the sum over time) or
    double_exponential; None: leaky, or memoryless without `tau_readout`."""
    tau_readout: float | None = 20e-3
    """Time constant of the readout's leak or, double exponential, decay (s); None: the units' own
    default, and a memoryless readout where none is named."""
    read_all: bool = False
    """Read all hidden layers, not only the last."""
    input_gain: float = 1.0
    """Standard deviation of feed-forward weights, times the root of their number per neuron."""
    recurrent_gain: float = 0.5
    """The same for recurrent weights."""
    surrogate: str | None = None
    """Surrogate derivative of the spike."""
    surrogate_slope: float | None = None
    """Slope of the surrogate, of those that have one: the larger, the narrower."""

    def __post_init__(self) -> None:
        """Refuse values that make no network."""
        if self.conv is not None:
            parse("network.conv", self.conv)
        if not (self.hidden or self.conv) or any(n < 1 for n in self.hidden):
            raise UsageError(
                f"network.hidden must be one or more sizes of at least 1, got {self.hidden}."
            )
        source_of(self.neuron)
        if self.surrogate is not None:
            _one_of("network.surrogate", self.surrogate, SURROGATES)
        if self.readout is not None:
            _one_of("network.readout", self.readout, READOUTS)
        for name in (*_NUMBERS, "tau_readout", "input_gain"):
            _positive(f"network.{name}", getattr(self, name))
        _at_least("network.recurrent_gain", self.recurrent_gain, 0)


@dataclass(frozen=True)
class LearningConfig:
    """How it learns."""

    rule: str = "block_diagonal"
    """Learning rule: see `tracegrad rules`."""
    signal: str | None = None
    """How hidden neurons hear of the loss: symmetric, random, adaptive, uniform, target or local;
    None: the rule's own way."""
    loss: str | None = None
    """Loss for classes: cross_entropy, max_over_time, first_spike_latency or class_squared_error;
    for values: mean_squared_error or van_rossum; None: the first of them."""
    learning_rate: Annotated[float, tyro.conf.arg(aliases=("--lr",))] = 1e-3
    """Learning rate of Adam."""
    cosine: bool = True
    """Let the learning rate fall to zero over the run, along a cosine."""
    update_every: int | None = None
    """Time steps between two updates of the weights; None: one update per sequence."""
    batch: int = 32
    """Sequences in a batch."""
    epochs: int = 10
    """Passes over the training set."""
    shift: int = 0
    """Move every training sequence by up to so many pixels, at random, where lines are a map."""
    rate_strength: float = 0.0
    """Strength of the pull of every neuron's rate towards `rate_target`."""
    rate_target: float = 0.05
    """Rate to pull towards, in spikes per step."""
    learn_neurons: bool = False
    """Learn time constants and thresholds too."""
    memory_limit: str | None = None
    """Bytes that a gradient may need besides input and weights, such as 200MB; None: any."""
    on_nan: str = "stop"
    """What a number that is not finite does: stop the run with its step, layer and quantity named,
    or skip the batch, which then changes nothing and is counted in the metrics."""

    def __post_init__(self) -> None:
        """Refuse values that make no learner."""
        _one_of("learning.rule", self.rule, RULES)
        if self.signal is not None:
            _one_of("learning.signal", self.signal, SIGNALS)
        if self.loss is not None:
            _one_of("learning.loss", self.loss, {**CLASS_LOSSES, **VALUE_LOSSES})
        _one_of("learning.on_nan", self.on_nan, ON_NAN)
        _positive("learning.learning_rate", self.learning_rate)
        for name in ("update_every", "batch", "epochs"):
            _at_least(f"learning.{name}", getattr(self, name), 1)
        if self.memory_limit is not None:
            bytes_of("learning.memory_limit", self.memory_limit)
        for name in ("shift", "rate_strength", "rate_target"):
            _at_least(f"learning.{name}", getattr(self, name), 0)


@dataclass(frozen=True)
class Config:
    """All settings of a run.

    `Config("digits", learning=LearningConfig(rule="eprop"))`; `defaults(task)` has values that fit.
    """

    task: tyro.conf.Suppress[str] = "digits"
    data: Path | None = None
    """Folder of the data, for tasks that need one."""
    seed: int = 0
    """Seed of the weights, of the feedback and of the order of the data."""
    substrate: str | None = None
    """Learn in the numbers of this platform: see `tracegrad substrates`, or FILE.toml."""
    network: NetworkConfig = NetworkConfig()
    learning: LearningConfig = LearningConfig()

    def __post_init__(self) -> None:
        """Refuse an unknown task and a missing or superfluous data folder."""
        _one_of("task", self.task, TASKS)
        _at_least("seed", self.seed, 0)
        if self.substrate is not None:
            load(self.substrate)
        if self.data is not None and not TASKS[self.task].needs_data:
            raise UsageError(f"{self.task} reads no data folder, got {self.data}. Leave data out.")
