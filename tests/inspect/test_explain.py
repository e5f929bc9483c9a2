"""What explain says: the boxed equations of the paper, dropped terms, forms, and its refusals."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import sympy as sp

import tracegrad as tg
from tracegrad.errors import UsageError
from tracegrad.inspect import explain
from tracegrad.inspect.symbolic import UnknownPrimitive, read

rules = tg.rules
S = sp.Symbol
GOLDEN = """\
  Trace
    x_j is x_j[t] for W_ij, z_j[t-1] for V_ij; G_z_k is what the weight does to z of neuron k
    eps_i_syn[t] = alpha*eps_i_syn[t-1] + x_j
      [dropped: V_ii*e_ij[t-1] + sum_{k!=i}(V_ik*G_z_k[t-1])]
    eps_v[t] = beta*eps_v[t-1] + (1 - beta)*eps_i_syn[t]   [dropped: -theta*e_ij[t-1]]

  Eligibility
    e_ij[t] = psi[t]*eps_v[t]/theta

  Filter
    ebar_ij[t] = kappa*ebar_ij[t-1] + (1 - kappa)*e_ij[t]

  Signal
    L_i[t] = sum_k(W_o_ki*delta_k[t])

  Change
    W_ij stands for every weight that has this trace
    Delta W_ij = -eta*sum_t(L_i[t]*ebar_ij[t])
"""


def traces(neuron, rule):
    (layer, _) = explain(neuron, rule).layers
    told = {e.left.name: e for section in layer.sections for e in section.equations}
    return told, layer


def test_text_of_eprop_for_cuba_lif():
    text = str(explain(tg.CubaLIF(), rules.eprop()))
    assert GOLDEN in text
    assert "v[t] = beta*v[t-1] + (1 - beta)*i_syn[t] - theta*z[t-1]" in text
    assert "psi[t] = psi(v[t]/theta - 1)" in text
    assert "psi(x) = 1/(10*Abs(x) + 1)**2" in text
    assert "alpha = exp(-0.001/tau_syn)" in text
    assert "F_theta_z[t] = -psi[t]*v[t]/theta**2" in text


@pytest.mark.parametrize("rule", [rules.eprop(), rules.block_diagonal()])
def test_cuba_lif_has_the_boxed_equations(rule):
    r"""Zenke & Neftci: eps^I <- alpha eps^I + [V_ii eps^S] + x_j,
    eps^U <- beta eps^U + (1 - beta) eps^I - [theta eps^S], eps^S = sigma'(U) eps^U = e."""
    told, _ = traces(tg.CubaLIF(), rule)
    i, u, e = told["eps_i_syn[t]"], told["eps_v[t]"], told["e_ij[t]"]
    v_term, reset_term = S("V_ii") * S("e_ij[t-1]"), -S("theta") * S("e_ij[t-1]")
    box_i = S("alpha") * S("eps_i_syn[t-1]") + S("x_j")
    box_u = S("beta") * S("eps_v[t-1]") + (1 - S("beta")) * S("eps_i_syn[t]")
    kept = int(rule.name == "block_diagonal")
    assert sp.expand(i.right - box_i - kept * v_term) == 0
    assert sp.expand(u.right - box_u - kept * reset_term) == 0
    others = i.exact - box_i - v_term
    assert others == sum(i.dropped) - (1 - kept) * v_term
    (total,) = sp.sympify(others).atoms(sp.Sum)
    assert total.function == S("V_ik") * S("G_z_k[t-1]") and sp.expand(others - total) == 0
    assert sp.expand(u.exact - box_u - reset_term) == 0
    slope = S("psi[t]") / S("theta")  # sigma'(U), as dz/dv
    assert sp.expand(e.right - slope * S("eps_v[t]")) == 0 and e.dropped == ()


def test_old_current_shifts_the_trace_by_a_step():
    told, _ = traces(tg.CubaLIF(old_current=True, normalised=False), rules.eprop())
    expected = S("beta") * S("eps_v[t-1]") + S("eps_i_syn[t-1]")
    assert sp.expand(told["eps_v[t]"].right - expected) == 0


def test_alif_has_the_block_of_bellec():
    """eps_a <- rho eps_a + e with e = psi (eps_v - beta_a eps_a); the counter has no trace."""
    told, layer = traces(tg.ALIF(refractory_steps=3), rules.eprop())
    assert told["eps_b[t]"].right == S("rho") * S("eps_b[t-1]") + S("e_ij[t-1]")
    assert "eps_r[t]" not in told and "r has no trace" in layer.section("Trace").note
    free, _ = traces(tg.ALIF(), rules.eprop())
    block = S("psi[t]") / S("theta") * (S("eps_v[t]") - S("beta_a") * S("eps_b[t]"))
    assert sp.expand(free["e_ij[t]"].right - block) == 0


GRU_TRACE = """\
  Drive
    D_p_s: what the current of port p does to state s directly, 0 where it is not listed
    D_r_h[t] = (1 - sigmoid(I_r[t]))*(1 - sigmoid(I_u[t]))*"""


def test_each_port_has_its_current_its_weights_and_its_drive():
    told, layer = traces(tg.GRU(), rules.block_diagonal())
    text = str(explain(tg.GRU(), rules.block_diagonal()))
    assert "I_r[t] = sum_j(W_r_ij*x_j[t]) + sum_j(V_r_ij*z_j[t-1])" in text
    assert "I_n[t] = sum_j(W_n_ij*x_j[t])\n" in text and GRU_TRACE in text
    assert "D_u_h[t] = (1 - sigmoid(I_u[t]))*(h[t-1] - tanh(" in text
    trace, e = told["eps_h[t]"], S("e_ij[t-1]")
    keep = sp.Function("sigmoid")(S("I_u[t]")) * S("eps_h[t-1]") + S("D_p_h[t]") * S("x_j")
    own = sum(S(f"V_{port}_ii") * S(f"D_{port}_h[t]") for port in "rum")
    assert sp.expand(trace.right - keep - own * e) == 0, "x_j by its own drive, all self-weights"
    assert [term.atoms(S) >= {S(f"V_{port}_ik"), S(f"D_{port}_h[t]")} for port, term in
            zip("rum", trace.dropped, strict=True)] == [True] * 3  # fmt: skip
    note = layer.section("Trace").note
    assert "x_j[t] for W_p_ij (p: r, u, n), z_j[t-1] for V_p_ij (p: r, u, m)" in note


def test_a_port_without_a_connection_has_no_weights():
    layer = tg.Layer(tg.Dense(2, 2), tg.TwoCompartment())
    text = str(explain(tg.Network(layer, readout=tg.Readout(2, 1), dt=1e-3), rules.eprop()))
    assert "I_soma[t] = 0\n" in text and "D_soma" not in text and "V_" not in text
    assert "eps_v[t] = (alpha - to_soma)*eps_v[t-1] + to_soma*eps_v_dendrite[t]" in text
    assert "recurrent" not in str(explain(tg.LRU(), rules.rtrl()))  # one without such ports


def test_what_is_below_several_ports_hears_through_each():
    layers = tg.Layer(tg.Dense(2, 2), tg.LIF()), tg.Layer(tg.Dense(2, 2), tg.LSTM())
    net = tg.Network(*layers, readout=tg.Readout(2, 1), dt=1e-3)
    lif, *_ = explain(net, rules.eprop()).layers
    (heard,) = lif.section("Signal").equations
    assert [
        term.atoms(S) >= {S(f"W_above_{port}_ki"), S(f"g_above_{port}_k[t]")}
        for port, term in zip("ifgo", heard.terms, strict=True)
    ] == [True] * 4
    assert "g_above_o_k: dz_k/dI_o_k in the layer above" in lif.section("Signal").note
    lif, *_ = explain(net, rules.bptt()).layers
    back = lif.section("Adjoint").equations[0].terms
    assert [{S(f"W_{port}_ki"), S(f"lambda_I_{port}_k[t]")} <= term.atoms(S) for port, term in
            zip("ifgo", back, strict=False)] == [True] * 4  # fmt: skip
    assert "W_o_ki is of the readout, W_o_ij of port o" in str(explain(net, rules.eprop()))


def test_half_a_tanh_is_a_gate():
    x = S("x")
    gate, sigmoid = (lambda x: 0.5 * (1.0 + jnp.tanh(0.5 * x))), sp.Function("sigmoid")
    one = jax.ShapeDtypeStruct((), float)
    assert read(jax.make_jaxpr(gate)(one), [x], {}) == [sigmoid(x)]
    (slope,) = read(jax.make_jaxpr(jax.grad(gate))(one), [x], {})
    assert sp.expand(slope - sigmoid(x) * (1 - sigmoid(x))) == 0
    assert read(jax.make_jaxpr(lambda x: 1.0 + jnp.tanh(x))(one), [x], {}) == [1 + sp.tanh(x)]


def test_a_reset_that_the_user_detached_is_not_called_dropped():
    told, _ = traces(tg.LIF(reset=tg.SubtractReset(detached=True)), rules.eprop())
    assert not any(term.has(S("theta")) for term in told["eps_v[t]"].dropped)


def test_equal_layers_are_said_once_and_the_signal_of_each_is_shown():
    layers = [tg.Layer(tg.Dense(3, 3), tg.LIF()) for _ in range(3)]
    net = tg.Network(*layers, readout=tg.Readout(3, 2), dt=1e-3)
    told = explain(net, rules.eprop())
    assert [layer.name for layer in told.layers] == ["Layers 0, 1: LIF", "Layer 2: LIF",
                                                     "Readout: LI"]  # fmt: skip
    text = str(told)
    assert text.count("eps_v[t] = alpha*eps_v[t-1] + x_j") == 1
    assert "L_i[t] = sum_k(W_above_ki*g_above_k[t]*L_above_k[t])" in text
    assert "L_i[t] = sum_k(W_o_ki*delta_k[t])" in text
    assert "[dropped: the memory of the layers above]" in text
    assert list(told.traces) == [layer.name for layer in told.layers]
    assert "V_i" not in text, "a layer without recurrence has no recurrent terms"


def test_the_readouts_memory_is_dropped_without_a_filter():
    text = str(explain(tg.LIF(), rules.eprop(filter=tg.NoFilter())))
    assert "none [dropped: the readout's memory]" in text
    assert "L_i[t] = sum_k(W_o_ki*(1 - kappa)*delta_k[t])" in text


@pytest.mark.parametrize("rule", [rules.bptt(), rules.rtrl()])
def test_exact_rules_drop_nothing(rule):
    told = explain(tg.CubaLIF(), rule)
    sections = [section for layer in told.layers for section in layer.sections]
    assert not any(equation.dropped for section in sections for equation in section.equations)
    assert "dropped" in str(told)  # and say so


def test_latex_and_markdown_write_every_equation():
    told = explain(tg.ALIF(refractory_steps=2), rules.eprop())
    count = sum(len(s.equations) for layer in told.layers for s in layer.sections)
    for form in (told.latex(), told.markdown()):
        assert form.count("&=") == count
        assert form.count("{") == form.count("}")
        assert form.count(r"\left(") == form.count(r"\right)")
    assert r"\epsilon_{ij}^{v,t} &= \alpha\, \epsilon_{ij}^{v,t-1} + x_{j}" in told.latex()
    assert r"\text{dropped: }" in told.latex() and told.markdown().startswith("# eprop")


class Bessel(tg.LIF):
    def output(self, c, s):
        return jax.scipy.special.i0e(s["v"])


class Whole(tg.LIF):
    def output(self, c, s):
        return jnp.round(s["v"]) * s["v"]


@pytest.mark.parametrize("neuron", [Bessel(), Whole()])
def test_an_operation_without_a_symbol_is_named(neuron):
    with pytest.raises(UnknownPrimitive, match="no symbol for the operation '(bessel|round)"):
        explain(neuron, rules.eprop())


def test_an_unknown_part_of_a_rule_is_named(as_user):
    class Other(tg.rules.block_diagonal().influence.__class__.__mro__[1]):
        def prepare(self, circuit):
            return circuit

        def init(self, circuit, taps, batch):
            raise NotImplementedError

        def push(self, circuit, taps, memory, moment, locals_):
            raise NotImplementedError

        def pull(self, circuit, memory, cotangents):
            raise NotImplementedError

    with pytest.raises(UsageError, match="no equations for the influence Other"):
        explain(tg.LIF(), rules.eprop()._replace(influence=Other()))


def test_an_influence_on_the_readout_has_no_signal_besides():
    for rule in (rules.rtrl(), rules.forward_gradient(), rules.uoro(), rules.kf_rtrl()):
        with pytest.raises(UsageError, match="no equations for .* with a signal to hidden layers"):
            explain(tg.LIF(), rule._replace(signal=tg.signals.Symmetric()))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (rules.truncated_bptt(4), "in windows of 4 steps that do not overlap"),
        (rules.future_bptt(4), "over the 4 steps up to it"),
        (rules.fptt(), "what the rule's own optimiser starts from"),
        (rules.snap(2), "M_iu is 1 for i = u and each i that at most 1 connections lead to from u"),
        (rules.ostl(), "M_iu is 1 for i and u of one layer, else 0"),
        (rules.block(2), "i and u of one 2 neurons in a row"),
        (rules.block([(0,), (0,)]), "M_iu is 1 for i and u of one group"),
        (rules.sltt(), "[dropped: alpha*eps_v[t-1] +"),
        (rules.etlp(), "[dropped: the error]"),
    ],
)
def test_what_a_rule_keeps_and_drops_is_said(rule, says):
    text = " ".join(str(explain(tg.LIF(), rule)).split())
    assert says in text


def test_without_sympy_the_library_works_and_explain_says_how_to_get_it():
    code = (
        "import sys; sys.modules['sympy'] = None\n"
        "import tracegrad as tg\n"
        "try: tg.inspect.explain(tg.LIF(), tg.rules.eprop())\n"
        "except ValueError as error: print(error)\n"
    )
    source = str(Path(__file__).resolve().parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": source},
    )
    assert done.stdout.strip() == (
        "explain needs sympy, which is not installed: pip install 'tracegrad[explain]'."
    )
