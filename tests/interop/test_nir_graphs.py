"""NIR graphs: NIR's own equations, round trips that keep every spike, and clear refusals."""

import json

import equinox as eqx
import h5py
import jax
import jax.numpy as jnp
import nir
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.errors import DataError, UsageError
from tracegrad.interop.told_rule import rule_of, told
from tracegrad.learn.rules import RULES

from .nir_reference import simulate

DT, STEPS, LINES, SIZE = 1e-3, 60, 6, 8


RUN = jax.jit(lambda network, xs: network(xs)[0])  # compiled once for all of one structure


def outputs(network, xs):
    return [np.asarray(z) for z in RUN(network, jnp.asarray(xs, float))]


def spikes(shape, chance=0.4, seed=3):
    return (np.random.default_rng(seed).random(shape) < chance).astype(float)


def neuron(kind, n, rng):
    """A neuron node whose numbers all differ from neuron to neuron."""

    def some(low, high):
        return rng.uniform(low, high, n)

    leaky = {"tau": some(3e-3, 2e-2), "r": some(0.5, 2.0), "v_leak": some(-0.1, 0.1)}
    cuba = {
        **{"tau_mem": some(3e-3, 2e-2), "tau_syn": some(2e-3, 9e-3), "r": some(0.5, 2.0)},
        **{"w_in": some(1.0, 4.0), "v_leak": np.zeros(n)},
    }
    threshold = {"v_threshold": some(0.1, 0.2)}
    nodes = {
        "LIF": lambda: nir.LIF(**leaky, **threshold),
        "LI": lambda: nir.LI(**leaky),
        "CubaLIF": lambda: nir.CubaLIF(**cuba, **threshold),
        "CubaLI": lambda: nir.CubaLI(**cuba),
        "IF": lambda: nir.IF(r=some(0.5, 2.0), v_threshold=some(1.0, 3.0)),
        "I": lambda: nir.I(r=some(0.5, 2.0)),
    }
    return nodes[kind]()


def graph(kind, final="LI", recurrent=True):
    """Input, an affine link, neurons (recurrent), a link, and final neurons."""
    rng = np.random.default_rng(5)
    nodes = {
        "input": nir.Input(input_type={"input": np.array([LINES])}),
        "w": nir.Affine(rng.normal(0.5, 1.0, (SIZE, LINES)), 0.1 * rng.normal(size=SIZE)),
        "n": neuron(kind, SIZE, rng),
        "u": nir.Linear(rng.normal(0.3, 1.0, (3, SIZE))),
        "m": neuron(final, 3, rng),
        "output": nir.Output(output_type={"output": np.array([3])}),
    }
    edges = [("input", "w"), ("w", "n"), ("n", "u"), ("u", "m"), ("m", "output")]
    if recurrent:
        back = 0.3 * rng.normal(size=(SIZE, SIZE)), 0.05 * rng.normal(size=SIZE)
        nodes["v"] = nir.Affine(*back)
        edges += [("n", "v"), ("v", "n")]
    return nir.NIRGraph(nodes, edges)


@pytest.mark.parametrize("euler", [False, True])
@pytest.mark.parametrize(
    ("kind", "final"),
    [("LIF", "LI"), ("CubaLIF", "CubaLI"), ("IF", "I"), ("LI", "LIF"), ("LIF", "CubaLIF")],
)
def test_a_graph_steps_as_its_equations_say(kind, final, euler):
    made = graph(kind, final)
    xs = spikes((STEPS, LINES))
    expected = simulate(made, xs, DT, euler)
    found = outputs(tg.from_nir(made, DT, euler), xs[:, None])
    spiking = [name for name, k in (("n", kind), ("m", final)) if k.endswith("F")]
    assert all(expected[name].sum() > 5 for name in spiking), "neurons must spike"
    np.testing.assert_allclose(found[0][:, 0], expected["n"], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found[1][:, 0], expected["m"], rtol=1e-9, atol=1e-11)


def test_the_two_methods_differ():
    made, xs = graph("LIF"), spikes((STEPS, 1, LINES))
    exact, euler = (outputs(tg.from_nir(made, DT, how), xs)[0] for how in (False, True))
    assert (exact != euler).any()


RECURRENT = tg.Dense(SIZE, SIZE)
PER_NEURON = np.linspace(5e-3, 3e-2, SIZE)
LAYERS = {
    "lif": lambda: tg.Layer(tg.Dense(LINES, SIZE, bias=True), tg.LIF(), RECURRENT),
    "lif_first": lambda: tg.Layer(
        tg.Dense(LINES, SIZE),
        tg.LIF(tau_mem=PER_NEURON, normalised=True, reset=tg.ZeroReset(), reset_first=True,
               v_threshold=0.3, surrogate=tg.Triangle(0.4)),
        RECURRENT, autapses=False,
    ),
    "cuba": lambda: tg.Layer(
        tg.Dense(LINES, SIZE),
        tg.CubaLIF(tau_syn=PER_NEURON, reset=tg.ZeroReset(), old_current=True),
        tg.Sparse.random(SIZE, SIZE, 0.5),
    ),
    "cuba_plain": lambda: tg.Layer(
        tg.Sparse.fixed_fan_in(LINES, SIZE, 3), tg.CubaLIF(normalised=False, reset_first=True)
    ),
    "if": lambda: tg.Layer(tg.Dense(LINES, SIZE), tg.IF(v_threshold=1.5), RECURRENT),
    "li": lambda: tg.Layer(tg.Dense(LINES, SIZE), tg.LI()),
}  # fmt: skip
READOUTS = {
    "lif": lambda: tg.Readout(SIZE, 3, bias=True),
    "lif_first": lambda: tg.Readout(SIZE, 3, tau=None),
    "cuba": lambda: tg.Readout.of(tg.DoubleExponential(), SIZE, 3),
    "cuba_plain": lambda: tg.Readout.of(tg.Integrator(), SIZE, 3),
}


def network(name):
    readout = READOUTS.get(name, lambda: tg.Readout(SIZE, 3))()
    made = tg.Network(LAYERS[name](), readout=readout, dt=DT).init(jax.random.key(2))
    return louder(made).freeze("*.neuron.*")


def louder(made):
    """Three times the input weights, so that neurons spike."""
    return eqx.tree_at(lambda net: net.layers[0].input.weight, made, replace_fn=lambda w: 3.0 * w)


def again(made, tmp_path, **how):
    """The network through a file."""
    tg.write_nir(made, tmp_path / "net.nir", **how)
    return tg.from_nir(tmp_path / "net.nir")


@pytest.mark.parametrize(
    ("name", "euler"), [*((name, False) for name in LAYERS), ("lif_first", True), ("cuba", True)]
)
def test_a_round_trip_keeps_settings_and_weights(name, euler, tmp_path):
    made = network(name)
    back = again(made, tmp_path, euler=euler)
    assert jax.tree.structure(back) == jax.tree.structure(made), "settings are restored"
    for a, b in zip(jax.tree.leaves(made), jax.tree.leaves(back), strict=True):
        np.testing.assert_allclose(_without_autapses(a, made), b, rtol=1e-13)


def test_a_round_trip_keeps_every_spike(tmp_path):
    made, xs = network("cuba"), spikes((STEPS, 4, LINES))
    ours, theirs = outputs(made, xs), outputs(again(made, tmp_path), xs)
    assert ours[0].sum() > 20
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-12)


def _without_autapses(leaf, made):
    masked = not made.layers[0].autapses and leaf.shape == (SIZE, SIZE)
    return leaf * (1 - np.eye(SIZE)) if masked else leaf


@pytest.mark.parametrize("name", ["lif", "cuba"])
def test_a_round_trip_keeps_every_bit_in_single_precision(name, tmp_path):
    with jax.enable_x64(False):
        made = network(name)
        back = again(made, tmp_path)
        for a, b in zip(jax.tree.leaves(made), jax.tree.leaves(back), strict=True):
            assert a.dtype == b.dtype == np.float32
            np.testing.assert_array_equal(a, b)


def test_a_convolutional_network_comes_back(tmp_path):
    first = tg.Conv((2, 8, 8), channels=3, kernel=3, padding=1, stride=2, bias=True)
    pool = tg.Pool(first.out_shape, kernel=2, gain=3.0)
    sums = tg.Pool(pool.out_shape, kernel=(2, 1), gain=2.0)
    made = tg.Network(
        tg.Layer(first, tg.LIF()),
        tg.Layer(pool, tg.LIF(tau_mem=np.linspace(1e-3, 9e-3, 12))),
        tg.Layer(sums, tg.Memoryless()),
        tg.Layer(tg.Dense(6, 5), tg.IF(v_threshold=0.3)),
        readout=tg.Readout(5, 3),
        dt=DT,
    ).init(jax.random.key(1))
    made = louder(made)
    back = again(made, tmp_path)
    for a, b in zip(made.layers, back.layers, strict=True):
        assert jax.tree.structure(a.neuron) == jax.tree.structure(b.neuron)
        assert type(a.input) is type(b.input)
    for a, b in zip(made.layers[:3], back.layers[:3], strict=True):
        assert (a.input.patches, a.input.biased) == (b.input.patches, b.input.biased)
    assert [layer.input.gain for layer in back.layers[1:3]] == [3.0, 2.0]
    xs = spikes((20, 2, 128))
    ours, theirs = outputs(made, xs), outputs(back, xs)
    assert all(ours[k].sum() > 5 for k in (0, 1, 3))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_graph_of_a_network_makes_its_steps_in_another_simulator():
    made = network("lif_first")
    xs = spikes((STEPS, LINES))
    ours = outputs(made, xs[:, None])
    for euler in (False, True):
        theirs = simulate(tg.to_nir(made, euler=euler), xs, DT, euler)["layer0.neuron"]
        assert theirs.sum() > 20
        np.testing.assert_array_equal(ours[0][:, 0], theirs)


def test_every_rule_comes_back():
    given = [
        tg.rules.eprop(tg.signals.Random(), tg.NoFilter()),
        tg.rules.snap(3),
        tg.rules.ostl(recurrence=False),
        tg.rules.block([[0, 1], [1]]),
        tg.rules.kernl(0.5, 0.2),
        tg.rules.reward_eprop(0.5),
        tg.rules.truncated_bptt(7),
    ]
    for rule in (*(make() for make in RULES), *given):
        back = rule_of(told(rule))
        assert (back.name, back.needs, back.around) == (rule.name, rule.needs, rule.around)
        for piece in ("influence", "filter", "signal"):
            a, b = getattr(rule, piece), getattr(back, piece)
            assert type(a) is type(b) and repr(a) == repr(b)


def test_a_rule_travels_in_a_file(tmp_path):
    path, made = tmp_path / "net.nir", network("lif")
    tg.write_nir(made, path, tg.rules.ottt())
    assert tg.rule_from_nir(path).name == "ottt"
    assert nir.read(path).metadata["learning_rule"] == "ottt"
    assert tg.rule_from_nir(tg.to_nir(made)) is None
    with pytest.raises(UsageError, match="The rule mine is not of the library"):
        tg.to_nir(made, tg.rules.eprop()._replace(name="mine"))


BAD_RULES = [
    ({"learning_rule": "hebb", "learning_rule_parts": "{}"}, "learning_rule must be one of bptt"),
    ({"learning_rule": "eprop"}, "learning_rule_parts must be JSON"),
    ({"learning_rule": "eprop", "learning_rule_parts": '{"a": NaN}'}, "NaN is no number"),
    ({"learning_rule": "eprop", "learning_rule_parts": "{}"}, "must have influence, filter"),
]
PARTS = json.loads(told(tg.rules.eprop())["learning_rule_parts"])
for piece, wrong, message in (
    ("influence", {"kind": "Popen"}, "influence must be one of .*Block.*, got 'Popen'"),
    ("influence", {"kind": "Kappa"}, "Kappa is no influence"),
    ("influence", {"kind": "Block", "reset": 3}, "influence.reset must be of type bool, got 3"),
    ("influence", {"kind": "Block", "speed": 3}, "Block has no setting speed"),
    ("influence", {"kind": "Horizon", "steps": 0}, "window must be at least 1 step"),
    ("signal", "loud", "signal must have a kind, got 'loud'"),
):
    text = json.dumps(PARTS | {piece: wrong})
    BAD_RULES.append(({"learning_rule": "eprop", "learning_rule_parts": text}, message))


@pytest.mark.parametrize(("metadata", "message"), BAD_RULES)
def test_a_rule_that_is_none_is_refused(metadata, message):
    with pytest.raises(DataError, match=message):
        rule_of(metadata)


def changed(change, kind="LIF"):
    """A graph's dictionaries with a change, as an object that `from_nir` takes."""

    class Graph:
        def to_dict(self):
            made = graph(kind).to_dict()
            change(made["nodes"], made)
            return made

    return Graph()


def put(name, key, value):
    return lambda nodes, made: nodes[name].__setitem__(key, value)


def edges(*more):
    return lambda nodes, made: made["edges"].extend(more)


def add(name, node, *more):
    def change(nodes, made):
        nodes[name] = node
        made["edges"].extend(more)

    return change


LINK = {"type": "Linear", "weight": np.eye(SIZE)}
BROKEN = [
    (lambda nodes, made: nodes["n"].pop("tau"), r"Node n \(LIF\) has no tau"),
    (lambda nodes, made: nodes["w"].pop("bias"), r"Node w \(Affine\) has no bias"),
    (lambda nodes, made: made.pop("nodes"), "nodes of the graph must be a group"),
    (lambda nodes, made: made.pop("edges"), "edges of the graph must be pairs of names"),
    (lambda nodes, made: nodes.pop("output"), "An edge names output, but there is no such node"),
    (put("n", "tau", np.full(SIZE, np.nan)), "Node n: tau must be finite"),
    (put("n", "tau", np.full(SIZE, -1.0)), "Node n: tau must be positive, got -1"),
    (put("n", "tau", np.full(SIZE + 1, 1.0)), r"Node n: tau must have shape \(8,\), got \(9,\)"),
    (put("n", "r", "much"), "Node n: r must be numbers"),
    (put("n", "v_reset", np.full(SIZE, 0.5)), "Node n: v_reset must be 0, got 0.5"),
    (put("w", "weight", np.full((SIZE, LINES), np.inf)), "Node w: weight must be finite"),
    (put("w", "weight", np.ones((SIZE, LINES + 1))), r"Node w: weight \(8, 7\) must fit"),
    (put("w", "weight", np.ones(3)), r"Node w: weight must have shape \(n, m\), got \(3,\)"),
    (put("v", "weight", np.ones((SIZE, 3))), r"Node v: weight must be square"),
    (put("input", "shape", np.array([2, 3])), "Node input: shape must be"),
    (put("input", "shape", np.array([2, 1, 3])), "Put a Flatten before it"),
    (put("n", "type", "Delay"), "Node n is a Delay, and connections here have none"),
    (put("n", "type", "Scale"), "Node n is a Scale, which is not loaded"),
    (put("n", "metadata", {"tracegrad": "{"}), "Node n: tracegrad must be JSON"),
    (put("n", "metadata", {"tracegrad": '{"kind": "ALIF"}'}), "Node n must be one of .*LIF"),
    (lambda nodes, made: made.update(metadata={"tracegrad": '{"frozen": 3}'}), "frozen must be"),
    (edges(("input", "n")), "Node n is fed by w, v, input|Node input leads to"),
    (edges(("m", "w")), "Node m leads to|Node w is fed by"),
    (edges(("w", "w")), "The nodes w -> w form a cycle without a neuron"),
    (
        add("a", {"type": "Linear", "weight": np.eye(SIZE)}, ("w", "a"), ("a", "w")),
        "form a cycle without a neuron",
    ),
    (add("a", LINK, ("n", "a"), ("a", "n")), "at most one connection to itself"),
    (add("a", LINK), "Node a lies on no way from input to output"),
    (add("a", {"type": "Input", "shape": np.array([1])}), "must have one Input node, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_a_broken_graph_is_one_sentence(change, message):
    with pytest.raises(UsageError, match=message) as caught:
        tg.from_nir(changed(change), DT)
    assert "\n" not in str(caught.value)


def test_what_a_neuron_here_cannot_be_is_refused():
    leak = put("n", "v_leak", np.full(SIZE, 0.1))
    with pytest.raises(DataError, match="Node n: v_leak must be 0, got 0.1"):
        tg.from_nir(changed(leak, "CubaLIF"), DT)
    with pytest.raises(UsageError, match="tau must be longer than a step of 0.1 s for Euler"):
        tg.from_nir(graph("LIF"), dt=0.1, euler=True)
    with pytest.raises(UsageError, match="dt must be a positive number of seconds, got None"):
        tg.from_nir(graph("LIF"))
    with pytest.raises(UsageError, match="A NIR graph is a path or a nir.NIRGraph, got int"):
        tg.from_nir(3, DT)


def test_what_nir_has_no_node_for_is_refused():
    def made(neuron, readout=None):
        layer = tg.Layer(tg.Dense(LINES, SIZE), neuron)
        readout = readout or tg.Readout(SIZE, 3)
        return tg.Network(layer, readout=readout, dt=DT).init(jax.random.key(0))

    with pytest.raises(UsageError, match="NIR has no node for ALIF in layer0. Use one of LIF"):
        tg.to_nir(made(tg.ALIF()))
    with pytest.raises(UsageError, match="layer0 has 3 currents a neuron, and NIR has one"):
        tg.to_nir(made(tg.GRU()))
    with pytest.raises(UsageError, match="A readout of all layers is no chain"):
        tg.to_nir(made(tg.LIF(), tg.Readout(SIZE, 3, all_layers=True)))
    blank = tg.Network(tg.Layer(tg.Dense(2, 2), tg.LIF()), readout=tg.Readout(2, 2), dt=DT)
    with pytest.raises(ValueError, match="The network has no weights yet"):
        tg.to_nir(blank)
    broken = jax.tree.map(lambda leaf: leaf * np.nan, made(tg.LIF()))
    with pytest.raises(UsageError, match="weights that are not finite"):
        tg.to_nir(broken)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.nir"
    tg.write_nir(network("lif"), path)
    return path


def test_a_file_that_is_none_is_one_sentence(file, tmp_path):
    whole = file.read_bytes()
    broken = tmp_path / "broken.nir"
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 50):
        broken.write_bytes(whole[:length])
        with pytest.raises(DataError, match="is no readable HDF5 file") as caught:
            tg.from_nir(broken)
        assert "\n" not in str(caught.value)
    broken.write_text("no HDF5 at all")
    with pytest.raises(DataError, match="is no readable HDF5 file"):
        tg.from_nir(broken)
    with pytest.raises(DataError, match="there is no such file"):
        tg.from_nir(tmp_path / "none.nir")


def hostile(change, message, file):
    with h5py.File(file, "r+") as opened:
        change(opened)
    with pytest.raises(DataError, match=message) as caught:
        tg.from_nir(file)
    assert "\n" not in str(caught.value)


def loop(file):
    file["node/nodes/loop"] = file["node"]


def outside(file):
    file["node/nodes/far"] = h5py.ExternalLink("elsewhere.h5", "/x")


def kept_outside(file):
    file["node/nodes/layer0.input"].create_dataset(
        "more", (3,), "f8", external=[("/etc/hostname", 0, 24)]
    )


def vast(file):
    file["node/nodes/layer0.input"].create_dataset("more", (2**40,), "f8", chunks=(2**10,))


def nodeless(file):
    del file["node"]


def flat(file):
    del file["node/nodes/layer0.neuron"]
    file["node/nodes/layer0.neuron"] = 3.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (loop, "must be a group, at most 12 deep"),
        (outside, "node/nodes/far is a link to elsewhere"),
        (kept_outside, "keeps its data elsewhere"),
        (vast, "holds above 134217728 numbers"),
        (nodeless, "has no group node, so it is no NIR graph"),
        (flat, "node layer0.neuron must be a group"),
    ],
)
def test_a_hostile_file_is_one_sentence(change, message, file):
    hostile(change, message, file)
