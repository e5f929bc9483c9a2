"""Defaults: settings that fit each task."""

from dataclasses import fields, replace

from tracegrad.run.config import READOUT_TAUS, RULES, Config, LearningConfig, NetworkConfig
from tracegrad.run.user_neuron import load_neuron

_TUNED = {
    "digits": Config(
        "digits",
        network=NetworkConfig(
            hidden=(128,), input_gain=4.0, recurrent_gain=0.3, surrogate_slope=4.0
        ),
        learning=LearningConfig(
            learning_rate=3e-3,
            update_every=5,
            epochs=20,
            rate_strength=0.1,
            rate_target=0.1,
        ),
    ),
    "spoken_digits": Config(
        "spoken_digits",
        network=NetworkConfig(hidden=(160,), tau_mem=60e-3, tau_readout=60e-3, input_gain=4.0),
        learning=LearningConfig(
            learning_rate=5e-3, update_every=10, epochs=12, rate_strength=0.1, rate_target=0.08
        ),
    ),
    "braille": Config(
        "braille",
        network=NetworkConfig(
            hidden=(128,),
            tau_mem=60e-3,
            tau_readout=200e-3,
            input_gain=2.0,
            recurrent_gain=0.2,
        ),
        learning=LearningConfig(
            learning_rate=4e-3,
            update_every=16,
            batch=8,
            epochs=20,
            rate_strength=0.1,
            rate_target=0.08,
        ),
    ),
    # The network of Bellec et al. 2020 in units of its threshold 0.03: (1 - alpha) / 0.03 = 1.09.
    "pattern_generation": Config(
        "pattern_generation",
        network=NetworkConfig(
            hidden=(100,),
            autapses=False,
            tau_mem=30e-3,
            tau_readout=30e-3,
            input_gain=1.09,
            recurrent_gain=1.09,
            surrogate="Triangle",
        ),
        learning=LearningConfig(learning_rate=3e-3, batch=1, epochs=300),
    ),
    "evidence_accumulation": Config(
        "evidence_accumulation",
        network=NetworkConfig(
            hidden=(100,),
            neuron="ALIF",
            autapses=False,
            tau_adapt=2.0,
            tau_readout=20e-3,
            input_gain=1.67,
            recurrent_gain=1.67,
            surrogate="Triangle",
        ),
        learning=LearningConfig(learning_rate=5e-3, batch=32, epochs=20, cosine=False),
    ),
}


def defaults(
    task: str,
    rule: str = "block_diagonal",
    neuron: str | None = None,
    readout: str | None = None,
) -> Config:
    """Settings that fit `task`, `rule`, `neuron` and `readout` (None: those tuned for the task).

    An offline rule updates once per sequence. Another neuron than the tuned one keeps the sizes and
    gains and has its own time constants and surrogate; a neuron without a field `surrogate` does
    not spike and has usual gains and no target rate, one without recurrent currents no recurrence.
    A user's neuron (FILE.py:Class) is loaded, and refused if it is none. A readout without a time
    constant has none of the task's.
    """
    config = _TUNED.get(task) or Config(task)  # Config refuses an unknown task by name
    learning = replace(config.learning, rule=rule)
    online = RULES[rule]().online
    config = replace(config, learning=learning if online else replace(learning, update_every=None))
    network = replace(config.network, readout=readout)
    if readout is not None and readout not in READOUT_TAUS:
        network = replace(network, tau_readout=None)
    config = replace(config, network=network)
    return config if neuron in (None, config.network.neuron) else _for_neuron(config, neuron)


def _for_neuron(config: Config, name: str) -> Config:
    own = dict.fromkeys(("tau_mem", "tau_syn", "tau_adapt", "surrogate", "surrogate_slope"))
    network = replace(config.network, neuron=name, **own)
    kind = type(load_neuron(name))
    if not kind.recurrent_ports:
        network = replace(network, recurrent=False)
    if "surrogate" in {field.name for field in fields(kind)}:
        return replace(config, network=network)
    usual = NetworkConfig()
    gains = {"input_gain": usual.input_gain, "recurrent_gain": usual.recurrent_gain}
    return replace(
        config,
        network=replace(network, **gains),
        learning=replace(config.learning, rate_strength=0.0),
    )
