"""Write docs/when_is_it_good_enough.md from the exported results of studies, and nothing else.

With `--pictures`, learning curves of every study are drawn anew too.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from result import FOLDER as MEASURED
from tables import source, spread

from tracegrad.study.export import load_export
from tracegrad.study.report import by_task, chosen, difference, fairness, markdown_table, table
from tracegrad.study.report_pictures import COLOURS, draw_learning
from tracegrad.study.statistics import METHOD, Paired
from tracegrad.study.store import Results
from tracegrad.study.study import label
from tracegrad.study.summary import Summary, summaries

FOLDER = Path(__file__).parent / "studies" / "results"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "when_is_it_good_enough.md"
IMAGES = PAGE.parent / "images" / "studies"
APART = ("rule", "signal", "network.recurrent")  # settings that name a line
POINT = 0.01  # of accuracy: within it of BPTT counts as equal
HEAD = f"""# When is it good enough?

What studies found, each a file in `bench/studies` whose results lie beside it. This page is
written by `python bench/good_enough.py` from those results; no number is typed. Differences to
BPTT are per seed, or per fold where a study has folds: {METHOD}. One seed has no interval, and says
little.

A verdict is given from two seeds on: *as good* if the whole interval is within one point of BPTT or
above it, *worse* if it is wholly more than one point below, else *open*: more seeds are needed.
"""


def verdict(gap: Paired) -> str:
    """What the paired difference of an accuracy allows to say."""
    if gap.low is None or gap.high is None:
        return "no interval"
    if gap.low >= -POINT:
        return "as good"
    return "worse" if gap.high < -POINT else "open"


def sentences(found: list[Summary]) -> str:
    """The verdict on every rule that has pairs with BPTT, a line each."""
    lines = []
    for summary in found:
        if (gap := summary.paired) is None or summary.accuracy is None:
            continue
        points, _, interval = difference(summary).partition(" ")
        told = f"{points} points {interval}".rstrip()
        who = label({name: summary.settings[name] for name in APART if name in summary.settings})
        count = f"{gap.n} {'fold' if summary.folds else 'seed'}{'s' * (gap.n > 1)}"
        lines.append(f"- {who}: **{verdict(gap)}** ({told}, {count}).")
    return "\n".join(lines)


def part(results: Results) -> list[str]:
    """One study: question, table of each task, verdicts, and where the numbers come from."""
    found = summaries(results)
    texts = [f"## {results.name}", results.question]
    for task, some in by_task(found).items():
        texts += [f"**{task}**", table(some), *filter(None, [sentences(some)])]
        if (IMAGES / results.name / f"learning-{task}.png").is_file():
            texts.append(f"![Learning curves](images/studies/{results.name}/learning-{task}.png)")
    rows = results.cells
    wanted = len(results.plan["groups"]) * results.plan["seeds"]
    commits = sorted({row.outcome.environment["commit"] for row in rows})
    versions = sorted({f"JAX {row.outcome.environment['versions']['jax']}" for row in rows})
    loads = [row.outcome.environment["load"] for row in rows]
    if settled := chosen(found):
        texts += ["What tuning chose:", settled]
    texts.append(
        f"{len(rows)} of {wanted} cells were run, on "
        f"{rows[0].outcome.environment['cores']} cores under a load of {min(loads):.0f} to "
        f"{max(loads):.0f}: times are inflated. {fairness(results.plan)} {', '.join(versions)}, "
        f"commit {', '.join(commits)}."
    )
    return texts


def draw() -> None:
    """Learning curves of every task of every study, where each curve has a colour of its own."""
    for path in sorted(FOLDER.glob("*.json")):
        results = load_export(path)
        for task, some in by_task(summaries(results)).items():
            (IMAGES / results.name / f"learning-{task}.png").unlink(missing_ok=True)
            if 0 < sum(bool(summary.done) for summary in some) <= len(COLOURS):
                (IMAGES / results.name).mkdir(parents=True, exist_ok=True)
                draw_learning(some, IMAGES / results.name, task)


def rounds_to(level: float, rows: list[dict]) -> str:
    """After how many rounds the mean over speakers is at a level, in words."""
    for rounds in sorted({row["rounds"] for row in rows}):
        if mean(row["accuracy"] for row in rows if row["rounds"] == rounds) >= level:
            return f"{rounds} word{'s' * (rounds > 1)} of each digit"
    return "more words than were tried"


def new_speaker() -> Iterator[str]:
    """A sixth speaker, and how many words win the gap back."""
    content = json.loads((MEASURED / "new_speaker.json").read_text())
    rows = [row for row in content["rows"] if row["chosen"]]
    yield "## A new speaker, learned from online {#new-speaker}"
    yield (
        "A network that learned the digits of five speakers goes on learning from a sixth, a word "
        "at a time, each heard once: after so many words of each digit, the share of right answers "
        "on test words of the new speaker and of the five (%), mean and spread over six such "
        "speakers. The rate to go on with was chosen on other words of the new ones. By "
        "`bench/new_speaker.py`."
    )
    marks = sorted({row["rounds"] for row in rows})
    lines = []
    for rule in dict.fromkeys(row["rule"] for row in rows):
        mine = [row for row in rows if row["rule"] == rule]
        for name, who in (("accuracy", "new speaker"), ("others", "the five")):
            by = [[100 * row[name] for row in mine if row["rounds"] == mark] for mark in marks]
            lines.append([f"`{rule}`: {who}", *(spread(values, ".1f") for values in by)])
    yield markdown_table(["rule", *map(str, marks)], lines)
    for rule in dict.fromkeys(row["rule"] for row in rows):
        mine = [row for row in rows if row["rule"] == rule]
        before = mean(row["others"] for row in mine if row["rounds"] == 0)
        after = mean(row["others"] for row in mine if row["rounds"] == marks[-1])
        yield (
            f"- `{rule}`: what it had on the five at first, {100 * before:.1f} %, it has on the "
            f"new speaker after {rounds_to(before, mine)}, and within five points of that after "
            f"{rounds_to(before - 0.05, mine)}. Of the five it keeps {100 * after:.1f} %: it hears "
            "nothing of them meanwhile."
        )
    yield f"{source(content)}"


def page() -> str:
    """The whole page."""
    texts = [HEAD.strip()]
    for path in sorted(FOLDER.glob("*.json")):
        texts += part(load_export(path))
    texts += new_speaker()
    return "\n\n".join(texts) + "\n"


def main() -> None:
    """Pictures where asked for, then the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", action="store_true")
    if parser.parse_args().pictures:
        draw()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
