"""Travelled: bytes between devices, read off a compiled program."""

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import jax

# What a device receives of a result of one byte, in a group of g devices, by the ring algorithm.
RECEIVED = {
    "all-gather": lambda g: (g - 1) / g,
    "all-reduce": lambda g: 2 * (g - 1) / g,
    "reduce-scatter": lambda g: g - 1,
    "all-to-all": lambda g: (g - 1) / g,
    "collective-permute": lambda g: 1.0,
}
KIND = re.compile(rf" ({'|'.join(RECEIVED)})\(")
LATER = re.compile(rf" (?:{'|'.join(RECEIVED)})-start\(")
ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")
CALLED = re.compile(
    r"(?:body|condition|to_apply|calls|true_computation|false_computation)=%?([\w.-]+)"
)
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
LISTED = re.compile(r"replica_groups=\{\{([\d,]+)\}")  # {{0,1},{2,3}}
COUNTED = re.compile(r"replica_groups=\[\d+,(\d+)\]<=")  # [2,4]<=[8]: two groups of four
# mesh['a'=2,'b'=4] {'b'}, of an axis perhaps a part: {'b':(1)2}
NAMED = re.compile(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\S+)? \{([^}]*)\}")


class Called(NamedTuple):
    """A computation that another runs, and how often."""

    name: str
    times: int


def travelled(compiled: jax.stages.Compiled) -> dict[str, float]:
    """Bytes that each device receives in one call, by kind of exchange, loops counted in full.

    By the ring algorithm: of an all-reduce among g devices $2(g-1)/g$ of its bytes, of an
    all-gather $(g-1)/g$ of its result. Of a condition all branches count. Per step: divide by the
    steps of the call. `ValueError` for a loop whose length is not known before it runs, and for
    exchanges in the background, which a CPU has not.
    """
    return in_program(compiled.as_text() or "")


def in_program(text: str) -> dict[str, float]:
    """The same for the text of a compiled program."""
    bodies = dict(_computations(text))
    entry = re.search(r"^ENTRY %?([\w.-]+)", text, re.MULTILINE)
    if entry is None:
        raise ValueError("The compiled program has no text of HLO, from which bytes are counted.")
    total: dict[str, float] = {}
    for kind, size in _sent(bodies, entry[1], 1):
        total[kind] = total.get(kind, 0.0) + size
    return total


def _sent(bodies: dict[str, list[str]], name: str, times: int) -> Iterator[tuple[str, float]]:
    for line in bodies.get(name, ()):
        if LATER.search(line):
            raise ValueError("An exchange that goes on beside the work is not counted yet.")
        if found := KIND.search(line):
            yield found[1], times * _bytes(line, found)
        for called in _calls(line):
            inner = list(_sent(bodies, called.name, times * max(called.times, 1)))
            if inner and not called.times:
                raise ValueError(f"A loop that exchanges bytes has no known length: {line[:80]}.")
            yield from inner


def _calls(line: str) -> Iterator[Called]:
    names = CALLED.findall(line)
    for group in BRANCHES.findall(line):
        names += re.findall(r"[\w.-]+", group)
    trips = TRIPS.search(line)
    times = 1 if " while(" not in line else int(trips[1]) if trips else 0
    return (Called(name, times) for name in names)


def _bytes(line: str, found: re.Match) -> float:
    """Of one exchange; its results stand between the equals sign and the kind."""
    results = line[line.index("=") : found.start()]
    arrays = ARRAY.findall(results)
    size = sum(
        _width(bits) * prod(map(int, filter(None, dims.split(",")))) for _, bits, dims in arrays
    )
    members = 2 if found[1] == "collective-permute" else _members(line)
    return size * RECEIVED[found[1]](members)


def _members(line: str) -> int:
    """Devices in a group; each compiler has its way to write them."""
    if listed := LISTED.search(line):
        return len(listed[1].split(","))
    if counted := COUNTED.search(line):
        return int(counted[1])
    if named := NAMED.search(line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        axes = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", named[2])
        return prod(int(part or sizes[axis]) for axis, part in axes)
    raise ValueError(f"Who exchanges bytes is written in no known way: {line.strip()[:300]}.")


def _width(bits: str) -> float:
    return int(bits) / 8 if bits else 1


def _computations(text: str) -> Iterator[tuple[str, list[str]]]:
    name, lines = "", []
    for line in text.splitlines():
        if (head := re.match(r"(?:ENTRY )?%?([\w.-]+) .*\{$", line)) and " = " not in line:
            name, lines = head[1], []
        elif line == "}" or line.startswith("} "):
            yield name, lines
        else:
            lines.append(line)
