"""Settings: equal after a trip through TOML, refused with key, expected and got."""

import re
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path

import pytest

from tracegrad.data import TASKS, add
from tracegrad.errors import UsageError
from tracegrad.learn import losses, signals
from tracegrad.learn.regulariser import RateRegulariser
from tracegrad.learn.rules import RULES
from tracegrad.model import LI, NEURONS, DoubleExponential, Integrator, Memoryless
from tracegrad.run.build import (
    Ends,
    build_learner,
    build_loss,
    build_network,
    build_rule,
    build_task,
)
from tracegrad.run.config import SURROGATES, Config, LearningConfig, NetworkConfig
from tracegrad.run.config_file import from_toml, load_config, to_toml
from tracegrad.run.defaults import defaults

OTHER = Config(
    task="braille",
    data=Path("some where/é"),
    seed=3,
    substrate="mcu8",
    network=NetworkConfig(
        conv="2c3",
        hidden=(7, 5),
        neuron="ALIF",
        recurrent=False,
        autapses=False,
        bias=True,
        tau_mem=0.011,
        tau_syn=0.012,
        tau_adapt=0.13,
        readout="integrator",
        tau_readout=None,
        read_all=True,
        input_gain=1.5,
        recurrent_gain=0.25,
        surrogate="Sigmoid",
        surrogate_slope=2.5,
    ),
    learning=LearningConfig(
        rule="eprop",
        signal="random",
        loss="max_over_time",
        learning_rate=1e-4,
        cosine=False,
        update_every=7,
        batch=3,
        epochs=4,
        rate_strength=0.5,
        rate_target=0.02,
        learn_neurons=True,
        memory_limit="200MB",
        on_nan="skip",
        shift=1,
    ),
)


def test_every_field_differs_from_its_default_in_the_config_under_test():
    for got, usual in ((OTHER, Config()), (OTHER.network, NetworkConfig()),
                       (OTHER.learning, LearningConfig(update_every=None))):  # fmt: skip
        for field in fields(got):
            assert getattr(got, field.name) != getattr(usual, field.name), field.name


@pytest.mark.parametrize("config", [OTHER, Config(), *(defaults(task) for task in TASKS)])
def test_a_config_survives_toml(config, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load_config(path) == config


def test_what_a_file_leaves_out_keeps_the_defaults_of_its_task_and_rule():
    got = from_toml('task = "digits"\nseed = 5\n[learning]\nrule = "bptt"\nepochs = 2\n')
    usual = defaults("digits", "bptt")
    assert got == replace(usual, seed=5, learning=replace(usual.learning, epochs=2))
    assert got.learning.update_every is None


def _what_is_set(network: NetworkConfig) -> tuple:
    """All that can be refused to another neuron: names and switches, and which numbers are set."""
    values = (getattr(network, field.name) for field in fields(network))
    return tuple(v if isinstance(v, str | bool) else v is None for v in values)


def _ends(config: Config) -> Ends:
    """Few lines; those of a small map where the network begins with convolutions."""
    return Ends(2 * 17 * 17, 2, 1e-3, (2, 17, 17)) if config.network.conv else Ends(5, 2, 1e-3)


def test_another_neuron_than_the_tuned_one_comes_with_settings_of_its_own():
    """What was tuned for the task's neuron and another lacks must not be refused to the user."""
    alike = {_what_is_set(defaults(task).network): task for task in TASKS}
    assert len(alike) > 5
    for task in alike.values():
        tuned = defaults(task).network
        for kind in NEURONS:
            config = defaults(task, "block_diagonal", kind.__name__)
            net = build_network(config, _ends(config))
            assert type(net.layers[0].neuron) is kind
            connected = bool(kind.recurrent_ports) and tuned.recurrent
            assert (net.layers[0].recurrent is not None) == connected
    tuned = defaults("digits")
    assert defaults("digits", "block_diagonal", "LIF") == tuned
    gru = from_toml('task = "digits"\n[network]\nneuron = "GRU"\nhidden = [3]\n')
    usual = defaults("digits", "block_diagonal", "GRU")
    assert gru == replace(usual, network=replace(usual.network, hidden=(3,)))
    assert gru.learning.rate_strength == 0 and gru.network.input_gain == 1
    alif = defaults("digits", "bptt", "ALIF")
    assert alif.learning.rate_strength == tuned.learning.rate_strength
    assert alif.network.input_gain == tuned.network.input_gain


REFUSED = [
    ("sed = 1", "there is no setting sed, expected one of task, data, seed"),
    ("[learning]\nlr = 1", "there is no setting learning.lr, expected one of rule, signal"),
    ("seed = 1.5", "seed must be a whole number, got 1.5"),
    ("seed = true", "seed must be a whole number, got True"),
    ("seed = -1", "seed must be at least 0 and finite, got -1"),
    ("task = 3", "task must be text, got 3"),
    ('task = "digit"', "task must be one of digits, .*, got 'digit'"),
    ("network = 3", "network must be a table, got 3"),
    ("learning = 3", "learning must be a table, got 3"),
    ('[network]\nhidden = "8"', "network.hidden must be a list of whole numbers, got '8'"),
    ("[network]\nhidden = [8, 0.5]", r"network.hidden\[1\] must be a whole number, got 0.5"),
    ("[network]\nhidden = []", r"network.hidden must be one or more sizes .* got \(\)"),
    ("[network]\nautapses = 1", "network.autapses must be true or false, got 1"),
    ('[network]\ntau_mem = "a"', "network.tau_mem must be a number or \"none\", got 'a'"),
    ("[network]\ntau_mem = 0", "network.tau_mem must be a positive number, got 0.0"),
    ("[network]\ntau_mem = nan", "network.tau_mem must be a positive number, got nan"),
    (
        "[network]\nrecurrent_gain = nan",
        "recurrent_gain must be at least 0 and finite, got nan",
    ),
    ('[network]\nneuron = "lif"', "neuron is named FILE.py:Class or is one of LIF, .*'lif'"),
    ("[network]\nneuron = 3", "network.neuron must be text, got 3"),
    ('[network]\nsurrogate = "x"', "network.surrogate must be one of SuperSpike, .*, got 'x'"),
    ('[learning]\nrule = "x"', "learning.rule must be one of bptt, .*, got 'x'"),
    ("[learning]\nrule = 1", "learning.rule must be text, got 1"),
    ('[learning]\nsignal = "x"', "learning.signal must be one of symmetric, .*, got 'x'"),
    ('[learning]\nloss = "x"', "loss must be one of cross_entropy, .*van_rossum, got 'x'"),
    ('[network]\nreadout = "x"', "readout must be one of leaky, .*, double_exponential, got 'x'"),
    ("[network]\nreadout = 1", "network.readout must be text, got 1"),
    ("[learning]\nupdate_every = 0", "learning.update_every must be at least 1 and finite, got 0"),
    ("[learning]\nbatch = 0", "learning.batch must be at least 1 and finite, got 0"),
    ("[learning]\nlearning_rate = inf", "learning.learning_rate must be a positive number"),
    ('data = "x"', "digits reads no data folder, got x. Leave data out"),
    ("seed = ", "is no valid TOML"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_bad_setting_is_refused_by_name(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        from_toml(text, "my.toml")
    assert str(caught.value).startswith("my.toml")


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="There is no configuration file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"seed = \xff")
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "latin.toml")


@pytest.mark.parametrize("rule", [made.__name__ for made in RULES])
def test_defaults_fit_every_task_and_rule(rule):
    for task in TASKS:
        config = defaults(task, rule)
        assert config.task == task and config.learning.rule == rule
        assert build_rule(config).name == rule
        assert build_rule(config).online or config.learning.update_every is None


@pytest.mark.parametrize("task", TASKS)
def test_defaults_make_a_network_for_every_task(task):
    build_network(defaults(task), _ends(defaults(task)))


ENDS = Ends(5, 3, 2e-3)
UNBUILDABLE = [
    ({"tau_syn": 1e-2}, {}, "network.tau_syn must be left out for LIF, .* got 0.01"),
    ({"neuron": "Tanh", "surrogate": "Arctan"}, {}, "network.surrogate must be left out for Tanh"),
    ({"neuron": "Tanh", "surrogate_slope": 1.0}, {}, "network.surrogate.* left out for"),
    ({"neuron": "LRU"}, {}, "LRU takes no recurrent current, got a recurrent connection"),
    ({"neuron": "GRU", "tau_mem": 1e-2}, {}, "network.tau_mem must be left out for GRU"),
    ({"readout": "integrator"}, {}, "tau_readout must be left out for the integrator readout"),
    ({"readout": "memoryless"}, {}, "tau_readout must be left out for the memoryless readout"),
    ({"surrogate": "Boxcar", "surrogate_slope": 1.0}, {}, "surrogate_slope must be left out"),
]


@pytest.mark.parametrize(("network", "learning", "message"), UNBUILDABLE)
def test_what_would_have_no_effect_is_refused(network, learning, message):
    config = Config(network=NetworkConfig(**network), learning=LearningConfig(**learning))
    with pytest.raises(UsageError, match=message):
        build_network(config, ENDS)


@pytest.mark.parametrize("signal", ["random", "symmetric"])
def test_a_signal_is_refused_for_rules_that_fix_theirs(signal):
    config = Config(learning=LearningConfig(rule="bptt", signal=signal))
    with pytest.raises(UsageError, match=f"signal must be left out for bptt, .* got {signal}"):
        build_rule(config)


OPEN = [made.__name__ for made in RULES if "signal" in signature(made).parameters]


@pytest.mark.parametrize("rule", OPEN)
def test_every_rule_that_leaves_the_signal_open_takes_each_by_name(rule):
    for name, kind in (
        ("uniform", signals.Uniform),
        ("target", signals.Target),
        ("local", signals.LocalReadout),
        ("random", signals.Random),
        ("adaptive", signals.Adaptive),
        ("symmetric", signals.Symmetric),
    ):
        made = build_rule(Config(learning=LearningConfig(rule=rule, signal=name))).signal
        # The last layer of superspike always hears its own error, those below what is named.
        assert isinstance(made.below if isinstance(made, signals.OwnError) else made, kind)
    own = next(made for made in RULES if made.__name__ == rule)()
    assert build_rule(Config(learning=LearningConfig(rule=rule))) == own


def test_symmetric_is_not_the_own_signal_of_rflo():
    assert len(OPEN) >= 10
    own, named = (
        build_rule(Config(learning=LearningConfig(rule="rflo", signal=signal))).signal
        for signal in (None, "symmetric")
    )
    assert isinstance(own, signals.Random) and isinstance(named, signals.Symmetric)


def test_a_signal_that_can_say_nothing_is_refused(tiny):
    blind = Config(learning=LearningConfig(rule="eprop", signal="uniform"))
    with pytest.raises(UsageError, match="the sum of all errors, which is zero"):
        build_learner(blind, tiny)


def test_an_older_file_keeps_what_it_meant_by_symmetric():
    """In files without a format, "symmetric" also stood for the rule's own signal."""

    def read(rule, format=""):
        return from_toml(f'{format}[learning]\nrule = "{rule}"\nsignal = "symmetric"').learning

    assert read("bptt").signal is None
    assert read("eprop").signal == "symmetric"  # its own, and now as then
    with pytest.raises(UsageError, match="two meanings for rflo.* is Random. Write signal = .none"):
        read("rflo")
    assert read("rflo", "format = 2\n").signal == "symmetric"
    with pytest.raises(UsageError, match="must be left out for bptt"):
        build_rule(Config(learning=read("bptt", "format = 2\n")))
    with pytest.raises(UsageError, match="format must be 2, got 3. A newer tracegrad"):
        read("eprop", "format = 3\n")


def test_a_rule_that_cannot_serve_the_settings_says_so(tiny):
    config = Config(learning=LearningConfig(rule="bptt", update_every=3))
    with pytest.raises(UsageError, match="bptt is offline"):
        build_learner(config, tiny)


def test_the_network_is_the_one_described():
    settings = NetworkConfig(
        hidden=(4, 2), neuron="CubaLIF", tau_mem=0.03, tau_syn=0.01, tau_readout=0.04,
        read_all=True, autapses=False, bias=True, surrogate="Arctan", surrogate_slope=3.0,
    )  # fmt: skip
    net = build_network(Config(network=settings), ENDS)
    assert [(layer.input.inputs, layer.input.outputs) for layer in net.layers] == [(5, 4), (4, 2)]
    assert (net.readout.input.inputs, net.readout.input.outputs, net.dt) == (6, 3, 2e-3)
    neuron = net.layers[1].neuron
    assert float(neuron.tau_mem.value) == pytest.approx(0.03)
    assert float(neuron.tau_syn.value) == pytest.approx(0.01)
    assert neuron.surrogate == SURROGATES["Arctan"](slope=3.0)
    assert float(net.readout.neuron.tau_mem.value) == pytest.approx(0.04)
    assert not net.layers[0].autapses
    assert all(layer.input.biased for layer in net.layers) and not net.readout.input.biased
    assert net.frozen == ("*.neuron.*",)
    learning = LearningConfig(learn_neurons=True)
    assert build_network(Config(network=settings, learning=learning), ENDS).frozen == ()


def test_a_task_without_its_data_is_refused(tmp_path):
    with pytest.raises(UsageError, match="braille reads its data from a folder. Give it with"):
        build_task(Config("braille"))
    with pytest.raises(UsageError, match=re.escape(f"no data folder {tmp_path / 'x'}")):
        build_task(Config("braille", data=tmp_path / "x"))


@pytest.mark.parametrize(
    ("readout", "tau", "expected"),
    [
        (None, 0.03, LI(tau_mem=0.03)),
        (None, None, Memoryless()),
        ("leaky", 0.03, LI(tau_mem=0.03)),
        ("leaky", None, LI()),
        ("memoryless", None, Memoryless()),
        ("integrator", None, Integrator()),
        ("double_exponential", 0.03, DoubleExponential(tau_decay=0.03)),
    ],
)
def test_every_readout_has_its_name(readout, tau, expected):
    config = Config(network=NetworkConfig(readout=readout, tau_readout=tau))
    made = build_network(config, ENDS).readout
    assert made.neuron == expected and made.input.outputs == ENDS.outputs


def test_a_readout_without_a_time_constant_leaves_that_of_the_task_out():
    for name in ("memoryless", "integrator"):
        assert defaults("digits", readout=name).network.tau_readout is None
        assert from_toml(f'[network]\nreadout = "{name}"').network.tau_readout is None
    assert defaults("yin_yang").network.readout == "integrator", "what was tuned is kept"
    assert defaults("yin_yang", readout="leaky").network.readout == "leaky"
    assert defaults("target_trains").network.readout == "double_exponential"
    tuned = defaults("digits").network.tau_readout
    assert defaults("digits", readout="double_exponential").network.tau_readout == tuned
    assert from_toml('[network]\nreadout = "none"') == defaults("digits")


def _loss(name):
    return Config(learning=LearningConfig(loss=name, rate_strength=0.5, rate_target=0.02))


def _described(loss):
    """A loss without the identity of the functions that its maker makes anew."""
    score = loss.over_time and loss.over_time.__qualname__
    return loss.at_step, loss.rate, loss.kernel, score


def test_every_loss_has_its_name_and_must_fit_the_targets(tiny):
    pattern = build_task(Config("pattern_generation"))
    rate = RateRegulariser(0.5, 0.02)
    fitting = {
        tiny: (
            losses.cross_entropy,
            losses.max_over_time,
            losses.first_spike_latency,
            losses.class_squared_error,
        ),
        pattern: (losses.mean_squared_error, losses.van_rossum),
    }
    for task, makers in fitting.items():
        for make in makers:
            config = _loss(make.__name__)
            assert _described(build_loss(config, task)) == _described(make(rate=rate))
        assert _described(build_loss(_loss(None), task)) == _described(makers[0](rate=rate))
    with pytest.raises(UsageError, match="cross_entropy or max_over_time or .* classes, got van_r"):
        build_loss(_loss("van_rossum"), tiny)
    with pytest.raises(UsageError, match="error or van_rossum for .* values, got max_over"):
        build_loss(_loss("max_over_time"), pattern)
    with pytest.raises(UsageError, match="no sum over steps, so block_diagonal cannot learn"):
        build_learner(_loss("max_over_time"), tiny)
    with pytest.raises(UsageError, match="a loss of every step for add, .* got max_over_time"):
        build_loss(_loss("max_over_time"), add())
