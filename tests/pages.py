"""Code blocks of pages; as a script, runs those of some as a reader would, in a folder each.

A block runs unless a comment before it says why it does not:

    <!-- not run: it trains for an hour -->
    <!-- run by tests/run/test_user_neuron.py -->

Python shares one namespace a page; a block with a title is written to the file of that name. Of
Bash, commands of tracegrad run. A block of text with the title `prints` shows lines of what was
printed, whatever their numbers.
"""

import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FENCE = re.compile(r"^```(?P<head>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (?P<kind>not run:|run by) (?P<why>[^<>]+) -->\s*\Z")
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")


class CodeBlock(NamedTuple):
    language: str
    title: str
    code: str
    line: int  # of its first line in the page
    kind: str  # "", "not run:" or "run by"
    why: str

    @property
    def runs(self) -> bool:
        return self.language in ("python", "bash") and not self.kind


def blocks(page: Path) -> Iterator[CodeBlock]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        language, _, rest = found["head"].partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        mark = MARK.search(text[: found.start()])
        yield CodeBlock(
            language,
            title[1] if title else "",
            found["code"],
            text[: found.start("code")].count("\n"),
            mark["kind"] if mark else "",
            mark["why"] if mark else "",
        )


def commands(block: CodeBlock) -> Iterator[list[str]]:
    """The words of every command of a Bash block, without comments; a pipe parts two."""
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while "|" in words:
            yield words[: words.index("|")]
            words = words[words.index("|") + 1 :]
        if words:
            yield words


def masked(line: str) -> str:
    """A line without what may differ from machine to machine: numbers and widths of columns."""
    return " ".join(NUMBER.sub("#", line).split())


def called(arguments: list[str]) -> bool:
    """Whether a command of tracegrad does what it is asked for."""
    from tracegrad.run.cli import main  # takes seconds, and many pages do without it

    return main(arguments) == 0


def run(page: Path) -> None:
    """All blocks of a page that run, in the current folder; raises at the first that fails."""
    names: dict = {"__name__": "__main__"}
    printed = io.StringIO()
    with redirect_stdout(printed):
        for block in blocks(page):
            if block.title == "prints":
                expected = {masked(line) for line in block.code.splitlines()}
                missing = expected - {masked(line) for line in printed.getvalue().splitlines()}
                assert not missing, f"{page.name}:{block.line}: not printed: {missing}"
            if not block.runs or (page == README and block.language == "bash"):
                continue
            if block.title:
                Path(block.title).write_text(block.code)
            elif block.language == "python":
                exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
            else:
                for words in commands(block):
                    assert words[0] == "tracegrad", f"{page.name}:{block.line}: mark {words[0]}"
                    assert called(words[1:]), f"{page.name}:{block.line}: {shlex.join(words)}"
    print(printed.getvalue())


if __name__ == "__main__":
    here = Path.cwd()
    for name in sys.argv[1:]:
        folder = here / Path(name).stem
        folder.mkdir()
        os.chdir(folder)
        run(here / name)
