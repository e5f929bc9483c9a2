"""Interpreters: how a network's printed equations are run, for each kind of influence.

Each carries what its influence carries in scopes of its own and gives, every step, the change of
each parameter: a pair of the stage and of `W`, `V`, `b` or a coefficient's name.
"""

import numpy as np

from .program import AXES, Scope, equations, functions, off, on, renamed

WEIGHTS = {"W": ("weight", "ij"), "V": ("recurrent", "ij"), "b": ("bias", "i")}
NAMES = (
    {"v_threshold": "theta"},
    {"alpha": "kappa", "beta": "kappa_2"},
)  # of a layer, of the readout


def one(value=1.0):
    return np.full([1] * len(AXES), value)


EYE = {n: on("iu", np.eye(n)) for n in range(1, 9)}


class Program:
    """A network's own equations, and the signals of its layers, as scopes of each stage."""

    def __init__(self, told, circuit, state):
        self.circuit, self.told = circuit, told
        self.stages = [self._stage(index, here) for index, here in enumerate(state)]
        self.hidden, self.last = self.stages[:-1], len(self.stages) - 1
        for index, scope in enumerate(self.stages):
            for name, other in (("below", index - 1), ("next", index + 1)):
                if 0 <= other <= self.last:
                    scope.around[name] = self.stages[other]
            if index + 1 < self.last:
                scope.around["above"] = self.stages[index + 1]

    def symbol(self, index, name):
        return NAMES[index == self.last].get(name, name)

    def kinds(self, index):
        """What there is to learn in a stage: weights, and coefficients."""
        stage = self.circuit.stages[index]
        weights = [kind for kind, (field, _) in WEIGHTS.items() if getattr(stage, field)]
        return weights, list(stage.coefficients)

    def _stage(self, index, here):
        stage, values = self.circuit.stages[index], {"eta": one()}
        self.last = len(self.circuit.stages) - 1
        for name, value in stage.coefficients.items():
            values[self.symbol(index, name)] = on("i", value)
        for kind, (field, axes) in WEIGHTS.items():
            if getattr(stage, field):
                weight = getattr(stage, field)["current"]
                values[f"{kind}_{axes}"] = on(axes, weight)
                if axes == "ij":
                    values[f"{kind}_ik"] = on("ik", weight)
        if stage.recurrent:
            values["V_ii"] = on("i", np.diagonal(stage.recurrent["current"]))
            values["V_ki"] = on("ki", stage.recurrent["current"])
        if index < self.last:
            for name, value in self.circuit.stages[-1].coefficients.items():
                values[self.symbol(self.last, name)] = one(value[0])
            above = self.circuit.stages[index + 1].weight["current"]
            values["W_ki"] = values["W_above_ki"] = on("ki", above)
        if index == self.last - 1:
            values["W_o_ki"] = values["W_ki"]
        values |= {f"{row}[t-1]": on("ni", value) for row, value in here.s.items()}
        values["z[t-1]"] = on("ni", here.z)
        return Scope(values, functions=functions(self.told[index]))

    def forward(self, x, added=None):
        """The neurons' own equations; `added` are currents on top, by layer."""
        for index, (scope, told) in enumerate(zip(self.stages, self.told, strict=True)):
            values = scope.values
            below = on("nj", x) if index == 0 else renamed(self.stages[index - 1]["z[t]"], "i", "j")
            values["x_j[t]"], values["z_j[t-1]"] = below, renamed(values["z[t-1]"], "i", "j")
            more = {"I[t]": added[index]} if added and index in added else {}
            scope.run(equations(told, "Neuron"), also=lambda name, more=more: more.get(name, 0.0))
            scope.run(equations(told, "Coefficients"))
            values["z_i[t]"] = values["z[t]"]
            if index < self.last and "psi[t]" in values:
                neuron = self.circuit.stages[index].neuron
                direct = 1 - values["beta"] if "i_syn[t]" in values and neuron.normalised else 1.0
                values["g_i[t]"] = values["psi[t]"] / values["theta"] * direct

    def outputs(self):
        y = self.stages[-1]["z[t]"]
        return y.reshape(y.shape[:2])

    def hear(self, error):
        """The error, and what the signal of each layer makes of it."""
        self.stages[-1].values["delta_i[t]"] = on("ni", error)
        for scope in self.stages:
            scope.values["delta_k[t]"] = on("nk", error)

    def seen(self, index, kind):
        """What x_j stands for."""
        values = self.stages[index].values
        known = {"W": "x_j[t]", "V": "z_j[t-1]"}
        return values[known[kind]] if kind in known else one(float(kind == "b"))

    def forced(self, index, name):
        """By the left side of a trace: what the coefficient does to that state within a step."""
        symbol, scope = self.symbol(index, name), self.stages[index]

        def of(left):
            row = "z" if left == "e_ij[t]" else left.partition("_")[2].removesuffix("[t]")
            known = left == "e_ij[t]" or left.startswith(("eps_", "G_", "C_"))
            found = scope.find(f"F_{symbol}_{row}[t]") if known else None
            return 0.0 if found is None else found

        return of

    def tick(self):
        for scope in self.stages:
            scope.tick()


class Synapses:
    """A trace of each synapse: blocks and factors, and what waits for a reward."""

    def __init__(self, program, stages=None):
        self.program = program
        self.scopes = {
            (index, kind): Scope({}, program.stages[index])
            for index in (range(len(program.stages)) if stages is None else stages)
            for kind in sum(program.kinds(index), [])
        }

    def push(self):
        titles = "Factors", "Trace", "Eligibility", "Filter"
        for (index, kind), scope in self.scopes.items():
            told, coefficient = self.program.told[index], kind not in WEIGHTS
            scope.values["x_j"] = self.program.seen(index, kind)
            forced = self.program.forced(index, kind) if coefficient else None
            own = equations(told, "Coefficient trace")
            if coefficient and own and equations(told, *titles[:2])[0].left.name != "eps_v[t]":
                for e in own:
                    row = e.left.name.removeprefix("C_")
                    scope.values[f"F_c_{row}"] = one() * forced(e.left.name)
                scope.run(own)
                scope.values["e_ij[t]"] = scope.values["C_z[t]"]
                scope.run(equations(told, "Filter"))
            else:
                scope.run(equations(told, *titles), also=forced)

    def change(self):
        for key, scope in self.scopes.items():
            told = self.program.told[key[0]]
            ours = equations(told, "Reward", "Change")
            scope.run(ours, lambda name: name == "Delta W_ij" or not name.startswith("Delta"))
            yield key, scope.values["Delta W_ij"], "ij"

    def tick(self):
        for scope in self.scopes.values():
            scope.tick()


class Reach:
    """The influence of every parameter on every stage, as far as M keeps it."""

    def __init__(self, program, kept=None):
        self.program, self.scopes = program, {}
        for origin in range(len(program.stages)):
            for kind in sum(program.kinds(origin), []):
                scopes = self.scopes[origin, kind] = [Scope({}, s) for s in program.stages]
                for index, scope in enumerate(scopes):
                    if index:
                        scope.around["below"] = scopes[index - 1]
                    if kept is not None:
                        self._mask(scope, kept, index, origin)

    def _mask(self, scope, kept, index, origin):
        last = len(kept) - 1
        scope.values["M_iu"] = on("niu", kept[index][origin])
        scope.values["M_o_ku"] = on("nku", kept[last][origin])
        if index + 1 < last:
            scope.values["M_above_ku"] = on("nku", kept[index + 1][origin])

    def push(self):
        for (origin, kind), scopes in self.scopes.items():
            for index, scope in enumerate(scopes):
                told, here = self.program.told[index], index == origin
                own = EYE[self.program.circuit.stages[index].size] if here else one(0.0)
                scope.values["x_j"] = self.program.seen(index, kind) * own if here else one(0.0)
                forced = self.program.forced(index, kind) if here and kind not in WEIGHTS else None
                also = None if forced is None else lambda left, f=forced, own=own: own * f(left)
                scope.run(equations(told, "Influence", "Filter"), also=also)

    def change(self):
        for key, scopes in self.scopes.items():
            total = one(0.0)
            for scope, told in zip(scopes, self.program.told, strict=True):
                if any("L_iu" in e.left.name for e in equations(told, "Signal")):
                    scope.run(equations(told, "Signal"), lambda name: name == "L_iu[t]")
                changes = equations(told, "Change")
                scope.run(changes)
                total = total + (scope.values["Delta w"] if changes else 0.0)
            yield key, total, "uj"

    def tick(self):
        for scopes in self.scopes.values():
            for scope in scopes:
                scope.tick()


class Backward:
    """Adjoints, from the last step of each window to its first; told when all steps are known.

    `windows` are pairs of a first and a last step, and whether the loss of the last alone counts.
    """

    def __init__(self, program, windows):
        self.program, self.windows, self.steps = program, windows, []

    def push(self):
        self.steps.append([scope.values.copy() for scope in self.program.stages])

    def change(self):
        if len(self.steps) == self.windows[-1][1] + 1:
            for first, last, alone in self.windows:
                yield from self._window(first, last, alone)

    def _window(self, first, last, alone):
        later = None
        for t in range(last, first - 1, -1):
            scopes = [Scope(v, functions=s.functions)
                      for v, s in zip(self.steps[t], self.program.stages, strict=True)]  # fmt: skip
            for index in reversed(range(len(scopes))):
                scope, told = scopes[index], self.program.told[index]
                if alone and t < last:
                    scope.values["delta_i[t]"] = one(0.0)
                if index < len(scopes) - 1:
                    scope.around["next"] = scopes[index + 1]
                for name, value in (later[index].values if later else {}).items():
                    if name.endswith("[t]"):
                        scope.values[name.replace("[t]", "[t+1]")] = value
                scope.run(equations(told, "Adjoint"))
                yield from self._changes(index, scope, t)
            later = scopes

    def _changes(self, index, scope, t):
        told = {e.left.name: e.right for e in equations(self.program.told[index], "Change")}
        weights, coefficients = self.program.kinds(index)
        known = {"W": "x_j[t]", "V": "z_j[t-1]"}
        for kind in weights:
            seen = scope.values[known[kind]] if kind in known else one()
            yield (index, kind), Scope({"x_j": seen}, scope).of(told["Delta W_ij"]), "ij"
        for name in coefficients:
            right = told[f"Delta {self.program.symbol(index, name)}"]
            yield (index, name), scope.of(right), "ij"

    def tick(self):
        pass


class Direction:
    """The tangent along a random direction."""

    def __init__(self, program, direction):
        self.program, self.nu = program, {}
        for index, stage in enumerate(direction.stages):
            values = program.stages[index].values
            for kind, (field, axes) in WEIGHTS.items():
                if getattr(stage, field):
                    drawn = on(f"n{axes}", getattr(stage, field)["current"])
                    values[f"nu_{kind}_{axes}"] = self.nu[index, kind] = drawn
            for name, drawn in stage.coefficients.items():
                nu = self.nu[index, name] = on("ni", drawn)
                values[f"nu_{program.symbol(index, name)}"] = nu

    def push(self):
        for scope, told in zip(self.program.stages, self.program.told, strict=True):
            scope.run(equations(told, "Tangent"))

    def change(self):
        for key, nu in self.nu.items():
            scope = Scope({"nu_w": nu}, self.program.stages[-1])
            scope.run(equations(self.program.told[-1], "Change"))
            yield key, scope.values["Delta w"], "ij"

    def tick(self):
        pass


def length(*parts):
    """The Euclidean length of all numbers of some values, for each sample."""
    over = tuple(range(1, len(AXES)))
    return np.sqrt(sum((part**2).sum(axis=over, keepdims=True) for part in parts))


def settle(values, left, right):
    """Put two lengths in, and 1 where a product of them is nothing; whether it is something."""
    (a, x), (b, y) = left, right
    exists = (x > 0) & (y > 0)
    values[a], values[b] = np.where(exists, x, 1.0), np.where(exists, y, 1.0)
    return exists


class Product:
    """A random state times a random parameter vector; `draw(step)` are the signs of every state."""

    def __init__(self, program, draw):
        self.program, self.draw, self.step = program, draw, 0
        self.own = Synapses(program, [program.last])
        layers = range(program.last)
        self.weights = {
            (index, kind): Scope({}, program.stages[index])
            for index in layers
            for kind in program.kinds(index)[0]
        }
        self.coefficients = [
            (index, name, f"q_{program.symbol(index, name)}")
            for index in layers
            for name in program.kinds(index)[1]
        ]

    def _run(self, index, title):
        told, scope = self.program.told[index], self.program.stages[index]
        scope.run(equations(told, title), lambda name: "_ij" not in name)
        for (at, kind), inner in self.weights.items():
            if at == index:
                inner.values["x_j"] = self.program.seen(index, kind)
                inner.run(equations(told, title), lambda name: "_ij" in name)

    def push(self):
        self.own.push()
        stages = self.program.stages
        order = list(range(len(stages)))
        for scope, (rows, z) in zip(stages, self.draw(self.step), strict=True):
            scope.values |= {f"nu_{row}[t]": on("ni", v) for row, v in {**rows, "z": z}.items()}
        for index in order:
            self._run(index, "Moved")
        for index in reversed(order):
            self._run(index, "Noise")
        self._balance(stages)
        for index in order:
            self._run(index, "Scale")
            self._run(index, "Product")
        self.step += 1

    def _balance(self, stages):
        def all_of(letter, when):
            scopes = [*stages[:-1], *self.weights.values()]
            if letter in ("shat", "nu"):
                scopes = stages
            return [(s, k) for s in scopes for k in s.values
                    if k.startswith(f"{letter}_") and k.endswith(when)]  # fmt: skip

        def size(letter, when="[t]"):
            return length(one(0.0), *(s.values[k] * one() for s, k in all_of(letter, when)))

        sizes = {n: size(n, "[t-1]" if n == "q" else "[t]") for n in ("q", "shat", "m", "nu")}
        for scope in stages:
            old = settle(scope.values, ("norm_q[t-1]", sizes["q"]), ("norm_shat[t]", sizes["shat"]))
            settle(scope.values, ("norm_m[t]", sizes["m"]), ("norm_nu[t]", sizes["nu"]))
        for scope, name in [*all_of("shat", "[t]"), *all_of("q", "[t-1]")]:
            scope.values[name] = scope.values[name] * old

    def change(self):
        yield from self.own.change()
        (told,) = [e for e in equations(self.program.told[-1], "Change") if "w" in e.left.name]
        keys = {key: scope.values["q_W_ij[t]"] for key, scope in self.weights.items()}
        keys |= {
            (index, name): self.program.stages[index].values[f"{q}[t]"]
            for index, name, q in self.coefficients
        }
        for key, q in keys.items():
            yield key, Scope({"q_w[t]": q}, self.program.stages[-1]).of(told.right), "ij"

    def tick(self):
        self.own.tick()
        for scope in self.weights.values():
            scope.tick()


class Pairs:
    """Kronecker factors of every layer; `draw(step)` are two signs of each layer and sample."""

    def __init__(self, program, draw):
        self.program, self.draw, self.step = program, draw, 0
        self.own = Synapses(program, [program.last])
        self.columns = {origin: self._scopes() for origin in range(program.last)}
        self.seen = {
            (origin, kind): Scope({}, self.columns[origin][origin])
            for origin in self.columns
            for kind in program.kinds(origin)[0]
        }
        self.coefficients = {
            (origin, name): self._scopes()
            for origin in self.columns
            for name in program.kinds(origin)[1]
        }

    def _scopes(self):
        scopes = [Scope({}, stage) for stage in self.program.stages]
        for below, scope in zip(scopes, scopes[1:], strict=False):
            scope.around["below"] = below
        return scopes

    def _here(self, origin, index):
        size = self.program.circuit.stages[index].size
        return EYE[size] if origin == index else one(0.0)

    def push(self):
        self.own.push()
        signs = self.draw(self.step)  # (batch, layers, 2)
        for origin, scopes in self.columns.items():
            for index, scope in enumerate(scopes):
                scope.values["u_i"] = self._here(origin, index)
                scope.values["nu_0[t]"] = on("n", signs[:, origin, 0])
                scope.values["nu_1[t]"] = on("n", signs[:, origin, 1])
                scope.run(equations(self.program.told[index], "Moved"))
            self._factor(origin, scopes)
        for (origin, name), scopes in self.coefficients.items():
            forced = self.program.forced(origin, name)
            for index, scope in enumerate(scopes):
                scope.values["u_i"] = self._here(origin, index)
                own = equations(self.program.told[index], "Coefficient trace")
                for e in own:
                    known = forced(e.left.name) if index == origin else 0.0
                    scope.values[f"F_c_{e.left.name.removeprefix('C_')}"] = one() * known
                scope.run(own)
        self.step += 1

    def _factor(self, origin, scopes):
        seen = {k: s for (at, k), s in self.seen.items() if at == origin}

        def of(letter):
            names = [(s, k) for s in scopes for k in s.values if k.startswith(f"{letter}_")]
            return [(s, k) for s, k in names if k.endswith("[t]")]

        moved, immediate = (length(*(s.values[k] for s, k in of(x))) for x in ("KH", "J"))
        before = length(*(s["A_j[t-1]"] for s in seen.values()))
        now = length(*(self.program.seen(origin, kind) for kind in seen))
        for scope in scopes:
            old = settle(scope.values, ("norm_KH[t]", moved), ("norm_A[t-1]", before))
            settle(scope.values, ("norm_J[t]", immediate), ("norm_x[t]", now))
        for scope, name in of("KH"):
            scope.values[name] = scope.values[name] * old
        for index, scope in enumerate(scopes):
            told = self.program.told[index]
            scope.run(equations(told, "Scale", "Product"), lambda name: name != "A_j[t]")
        for kind, scope in seen.items():
            scope.values["x_j"] = self.program.seen(origin, kind)
            told = self.program.told[origin]
            scope.run(equations(told, "Product"), lambda name: name == "A_j[t]")

    def change(self):
        yield from self.own.change()
        told = {e.left.name: e.right for e in equations(self.program.told[-1], "Change")}
        for (origin, kind), scope in self.seen.items():
            inner = Scope({"A_j[t]": scope.values["A_j[t]"]}, self.columns[origin][-1])
            yield (origin, kind), inner.of(told["Delta W_uj"]), "uj"
        for key, scopes in self.coefficients.items():
            yield key, scopes[-1].of(told["Delta c_u"]), "uj"

    def tick(self):
        self.own.tick()
        for scopes in [*self.columns.values(), *self.coefficients.values()]:
            for scope in scopes:
                scope.tick()
        for scope in self.seen.values():
            scope.tick()


def gathered(kind, axes, change):
    """The change of a parameter in its own shape, summed over the batch."""
    kept = axes if WEIGHTS.get(kind, ("", "i"))[1] == "ij" else axes[0]
    return off(kept, change)
