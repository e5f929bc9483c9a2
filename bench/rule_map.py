"""Write the map of docs/concepts.md from the rules: what is carried, and what is heard."""

from pathlib import Path

from tables import table

import tracegrad as tg
from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.rewarded import Rewarded

PAGE = Path(__file__).resolve().parents[1] / "docs" / "concepts.md"
START, END = "<!-- places -->", "<!-- /places -->"
BLOCKS = {
    (True, True): "own, reset, self-weight",
    (False, True): "own, reset",
    (False, False): "own",
}
CARRIED = {
    "Full": "all of $G$",
    "Masked": "blocks wider than a neuron",
    "Forward": "one random product of $G$",
    "RankOne": "one random product of $G$",
    "Kronecker": "one random product of $G$",
    "Presynaptic": "a trace a line",
    "Smoothed": "a smoothed number for each end",
    "LearnedSmoothing": "this step, smoothed by a learned kernel",
    "Instant": "nothing: this step",
    "Immediate": "nothing: this step",
}
ROWS = (
    "the graph of past steps",
    CARRIED["Full"],
    CARRIED["Masked"],
    *(f"a neuron: {kept}" for kept in BLOCKS.values()),
    CARRIED["Presynaptic"],
    CARRIED["Smoothed"],
    CARRIED["LearnedSmoothing"],
    CARRIED["Instant"],
    CARRIED["Forward"],
)
EXACT, ESTIMATED = "true weights", "an estimate of what goes on above"
HEARD = {
    "ThroughReadout": EXACT,
    "Leaving": EXACT,
    "Symmetric": EXACT,
    "Downstream": ESTIMATED,
    "Kernel": ESTIMATED,
    "Synthetic": ESTIMATED,
    "Random": "random weights",
    "LocalReadout": "a loss of its own layer",
    "Target": "the target alone",
}
COLUMNS = tuple(dict.fromkeys(HEARD.values()))


def carried(rule: tg.Rule) -> str:
    """What a rule carries from step to step, in words."""
    kept = rule.influence
    if isinstance(kept, Graph | Horizon):
        return ROWS[0]
    kept = kept.kept if isinstance(kept, Rewarded) else kept
    if isinstance(kept, Block):
        return f"a neuron: {BLOCKS[kept.self_weight, kept.reset]}"
    return CARRIED[type(kept).__name__]


def heard(rule: tg.Rule) -> str:
    """How a hidden neuron hears of the loss, in words."""
    return HEARD[type(rule.signal).__name__]


def section() -> str:
    """The map between its two marks."""
    rules = [make() for make in tg.rules.RULES]

    def cell(row: str, column: str) -> str:
        return ", ".join(f"`{r.name}`" for r in rules if (carried(r), heard(r)) == (row, column))

    lines = [[row, *(cell(row, column) for column in COLUMNS)] for row in ROWS]
    told = table(["carried", *COLUMNS], lines).replace("---:", "---")
    return f"{START}\n\n{told}\n\n{END}"


def written(page: str) -> str:
    """The page with the map as the rules make it."""
    before, rest = page.split(START)
    return before + section() + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
