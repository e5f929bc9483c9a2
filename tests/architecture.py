"""The house rules, read off the source: imports, sizes, docstrings, words not used."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

LAYERS = {
    "errors": set(),
    "_types": set(),
    "data": {"errors"},
    "model": {"errors", "_types"},
    "native": {"errors"},
    "learn": {"errors", "_types", "model", "native"},
    "inspect": {"errors", "_types", "model", "learn"},
    "substrate": {"errors", "_types", "model", "learn"},
    "interop": {"errors", "_types", "data", "model", "learn"},
    "run": {"errors", "_types", "data", "model", "learn", "inspect", "interop", "substrate"},
    "bench": {"errors", "_types", "model", "learn", "run"},
    "run.bench_command": {"bench"},  # modules that may besides what their layer may
    "interop.sklearn": {"run"},
    "interop.torch": {"run", "substrate"},
}
for _name in ("study", "stream", "export", "report"):
    LAYERS[_name] = LAYERS["run"] | {"run"}
for _name in ("watch", "log"):
    LAYERS[_name] = LAYERS["report"] | {"report"}
LAYERS["export"] |= {"native"}  # a neuron's own code as C
LAYERS |= {"__init__": set(LAYERS), "__main__": {"run"}}  # the public names; `python -m tracegrad`
# `run.cli` alone lies above all that it calls.
LAYERS["cli"] = LAYERS["run"] | {"run", "study", "stream", "export", "report", "watch", "log"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    name: str  # below the package: "model.lif", "model.__init__"
    lines: list[str]
    tree: ast.Module


def modules(package: Path) -> dict[str, Module]:
    texts = {p.relative_to(package).with_suffix(""): p.read_text() for p in package.rglob("*.py")}
    names = {".".join(path.parts): text for path, text in sorted(texts.items())}
    return {n: Module(n, text.splitlines(), ast.parse(text)) for n, text in names.items()}


def own(dotted: str, found: dict[str, Module]) -> str | None:
    """The name of the package's own module that an import of `dotted` reaches."""
    root, *rest = dotted.split(".")
    names = [".".join(rest), ".".join([*rest, "__init__"])]
    return next((n for n in names if n in found), None) if root == "tracegrad" else None


def imports(module: Module, found: dict[str, Module]) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            above = ["tracegrad", *module.name.split(".")][: -node.level or None]
            base = ".".join((above if node.level else []) + [node.module or ""]).strip(".")
            deeper = (f"{base}.{alias.name}" for alias in node.names)
            yield from (child if own(child, found) else base for child in deeper)


def import_faults(module: Module, found: dict[str, Module]) -> Iterator[str]:
    layer = "cli" if module.name == "run.cli" else module.name.split(".")[0]
    if layer not in LAYERS:
        yield "is in no layer"
    for dotted in imports(module, found):
        target = own(dotted, found)
        allowed = {layer} | LAYERS.get(layer, set()) | LAYERS.get(module.name, set())
        if target and target.split(".")[0] not in allowed:
            yield f"may not import {dotted}"
        if target == "run.cli" and layer != "__main__":
            yield "may not import the command line"
        if layer in {"errors", "data"} and dotted.split(".")[0] in {"jax", "equinox", "optax"}:
            yield f"must work without JAX, imports {dotted}"


def cycle_faults(found: dict[str, Module]) -> Iterator[str]:
    graph = {n: {own(d, found) for d in imports(m, found)} - {None} for n, m in found.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "cycle: " + " <- ".join(error.args[1])


def size_faults(node: Function, lines: list[str], method: bool) -> Iterator[str]:
    first = node.body[0]
    skip = range(first.lineno, first.end_lineno + 1) if ast.get_docstring(node) else ()
    code = [lines[i - 1].strip() for i in range(node.lineno, node.end_lineno + 1) if i not in skip]
    if (count := sum(1 for line in code if line and not line.startswith("#"))) > 40:
        yield f"{node.name} has {count} code lines, more than 40"
    a = node.args
    names = [arg.arg for arg in [*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg] if arg]
    if (count := len(names) - (method and names[:1] in (["self"], ["cls"]))) > 6:
        yield f"{node.name} has {count} parameters, more than 6"


def code_faults(module: Module) -> Iterator[str]:
    if len(module.lines) > 400:
        yield f"has {len(module.lines)} lines, more than 400"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            yield "imports *"
        if isinstance(node, ast.Global):
            yield "uses global"
        if isinstance(node, ast.Name) and node.id in {"hasattr", "super"}:
            yield f"uses {node.id}"
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield from size_faults(child, module.lines, isinstance(node, ast.ClassDef))


def docstring_faults(node: ast.AST, name: str) -> Iterator[str]:
    if not ast.get_docstring(node):
        yield f"{name} has no docstring"
    for child in node.body if isinstance(node, ast.Module | ast.ClassDef) else ():
        if isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            yield from docstring_faults(child, child.name)


def faults(package: Path) -> Iterator[str]:
    found = modules(package)
    for module in found.values():
        checks = import_faults(module, found), code_faults(module)
        for check in (*checks, docstring_faults(module.tree, "the module")):
            yield from (f"{module.name}: {fault}" for fault in check)
    yield from cycle_faults(found)
