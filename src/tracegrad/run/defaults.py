"""Defaults: settings that fit each task."""

from dataclasses import fields, replace

from tracegrad.run.config import READOUT_TAUS, RULES, Config, NetworkConfig
from tracegrad.run.tuned import TUNED
from tracegrad.run.user_neuron import load_neuron


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
    config = TUNED.get(task) or Config(task)  # Config refuses an unknown task by name
    learning = replace(config.learning, rule=rule)
    online = RULES[rule]().online
    config = replace(config, learning=learning if online else replace(learning, update_every=None))
    network = config.network
    if readout not in (None, network.readout):
        keeps = readout in READOUT_TAUS
        network = replace(
            network, readout=readout, tau_readout=network.tau_readout if keeps else None
        )
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
