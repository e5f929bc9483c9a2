"""The package keeps the house rules, and each of them can be broken."""

from pathlib import Path

import pytest

from architecture import faults, modules

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "tracegrad"


def function(lines: int, parameters: str) -> str:
    body = '"""Two lines\n    of docstring."""\n\n    # A comment.\n' + "    work()\n" * (lines - 1)
    return f"def f({parameters}):\n    {body}"


def method(parameters: str) -> str:
    return f'class C:\n    """Doc."""\n\n    def f({parameters}):\n        """Doc."""\n'


def write(package: Path, files: dict[str, str]) -> Path:
    for name, code in files.items():
        path = package.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""Doc."""\n{code}\n')
    return package


GOOD = {
    "__init__": "from tracegrad.run.learner import Learner\nfrom . import model",
    "__main__": "from tracegrad.run.cli import main",
    "errors": "import numpy",
    "data.encode": "",
    "data.events": "from tracegrad.errors import need\nimport scipy.signal",
    "model.__init__": "from .lif import LIF",
    "model.lif": "import jax\nfrom ..errors import need",
    "learn.rule": "from tracegrad import model\nimport tracegrad.model.lif",
    "learn.rules.eprop": "from ..rule import Rule",
    "inspect.fit": function(40, "a, b, *c, d=0, e=0, **f") + "def _g():\n    pass\n",
    "substrate.write": method("self, a, b, c, d, e, f"),
    "run.learner": "from ..data import events\nfrom tracegrad import errors, model",
    "bench.row": "from ..run.learner import Learner",
    "run.bench_command": "from ..bench.row import Row",
    "study.cell": "from tracegrad.run.learner import Learner",
    "run.cli": "import tracegrad.run.learner\nimport tracegrad.study.cell" + "\n" * 396,
}
BAD = [  # (module, its code, the fault); the other modules are those above
    ("errors", "import tracegrad.data.encode", "may not import tracegrad.data.encode"),
    ("errors", "import jax", "must work without JAX, imports jax"),
    ("data.a", "from jax import numpy", "must work without JAX, imports jax"),
    ("data.a", "def _f():\n    import equinox", "must work without JAX, imports equinox"),
    ("data.a", "from ..model import lif", "may not import tracegrad.model.lif"),
    ("model.a", "from tracegrad.learn.rule import Rule", "may not import tracegrad.learn.rule"),
    ("model.a", "import tracegrad", "may not import tracegrad"),
    ("learn.a", "from tracegrad.inspect import fit", "may not import tracegrad.inspect.fit"),
    ("substrate.a", "from ..run.learner import Learner", "may not import tracegrad.run.learner"),
    (
        "inspect.a",
        "from tracegrad.substrate import write",
        "may not import tracegrad.substrate.write",
    ),
    ("inspect.a", "from tracegrad.run import learner", "may not import tracegrad.run.learner"),
    ("run.a", "from .cli import main", "may not import the command line"),
    ("run.a", "from ..bench.row import Row", "may not import tracegrad.bench.row"),
    ("bench.a", "from ..run.cli import main", "may not import the command line"),
    ("learn.a", "from ..bench.row import Row", "may not import tracegrad.bench.row"),
    ("run.a", "from tracegrad.study import cell", "may not import tracegrad.study.cell"),
    ("study.a", "import tracegrad.run.cli", "may not import the command line"),
    ("surprise", "", "is in no layer"),
    ("model.lif", "from . import LIF", "cycle: model.__init__ <- model.lif <- model.__init__"),
    ("model.a", "from math import *", "imports *"),
    ("model.a", "x = hasattr(1, 'y')", "uses hasattr"),
    ("model.a", "class _C:\n    def f(self):\n        super().f()", "uses super"),
    ("model.a", "def _f():\n    global x", "uses global"),
    ("model.a", "\n" * 400, "has 402 lines, more than 400"),
    ("model.a", function(41, ""), "f has 41 code lines, more than 40"),
    ("model.a", function(2, "a, b, c, d, e, f, g"), "f has 7 parameters, more than 6"),
    ("model.a", function(2, "a, b, c, d, e, *f, **g"), "f has 7 parameters, more than 6"),
    ("model.a", method("self, a, b, c, d, e, f, *, g"), "f has 7 parameters, more than 6"),
    ("model.a", "def f():\n    pass", "f has no docstring"),
    ("model.a", "class C:\n    pass", "C has no docstring"),
    ("model.a", 'class C:\n    """Doc."""\n    def f(self): ...', "f has no docstring"),
]


def test_the_package_keeps_the_house_rules():
    assert modules(PACKAGE), f"no module found in {PACKAGE}"
    assert list(faults(PACKAGE)) == []


def test_good_source_has_no_fault(tmp_path):
    assert list(faults(write(tmp_path, GOOD))) == []


@pytest.mark.parametrize(("name", "code", "fault"), BAD)
def test_each_rule_can_be_broken(tmp_path, name, code, fault):
    found = list(faults(write(tmp_path, GOOD | {name: code})))
    assert found in ([f"{name}: {fault}"], [fault])


def test_a_module_without_docstring_is_found(tmp_path):
    (tmp_path / "errors.py").write_text("x = 1\n")
    assert list(faults(tmp_path)) == ["errors: the module has no docstring"]
