"""Pages: every code block runs or says why not, commands exist, links lead somewhere."""

import inspect
import os
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

import tracegrad as tg
from pages import README, ROOT, blocks, commands, masked
from tracegrad.run.cli import COMMANDS, main
from tracegrad.study.study_file import load_study

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*DOCS, README]
RUN = [page for page in PAGES if any(block.runs for block in blocks(page))]
PARTS = [RUN[start::3] for start in range(3)]  # a process each: to start one takes seconds
LANGUAGES = {"python", "bash", "text", "toml", "json", "c"}
RUNNER = ROOT / "tests" / "pages.py"


def name_of(page: Path) -> str:
    return page.name


def names_of(pages: list[Path]) -> str:
    return " ".join(page.name for page in pages)


def run_pages(pages: list[Path], folder: Path) -> subprocess.CompletedProcess:
    """Pages in a process of their own: float32, and nothing else of what tests switch on."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "PYTEST"))}
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax" / "pages"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    return subprocess.run(
        [sys.executable, str(RUNNER), *map(str, pages)],
        cwd=folder,
        env=kept | cache | {"PYTHONPATH": str(ROOT / "src"), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.parametrize("pages", PARTS, ids=names_of)
def test_the_blocks_of_pages_run(pages, tmp_path):
    done = run_pages(pages, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\nassert 1 == 2\n```", r"page.md\", line 2"),
        ("```bash\ntracegrad rules --most\n```", "tracegrad rules --most"),
        ("```bash\nrm -r runs\n```", "mark rm"),
        (
            '```text title="prints"\neprop is best\n```',
            "not printed",
        ),
    ],
)
def test_a_block_that_fails_is_found(text, complaint, tmp_path):
    (tmp_path / "page.md").write_text(text + "\n")
    done = run_pages([tmp_path / "page.md"], tmp_path)
    assert done.returncode != 0 and re.search(complaint, done.stderr), done.stderr


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_a_block_that_does_not_run_says_why(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page.name}:{block.line}: name the language"
        if block.kind == "run by":
            assert page.name in (ROOT / block.why).read_text(), f"{block.why} runs no {page.name}"
        if block.kind == "not run:":
            assert len(block.why.split()) > 2, f"{page.name}:{block.line}: {block.why}"
    assert page.read_text().count("```") == 2 * len(list(blocks(page)))


def shown_commands() -> dict[tuple[str, ...], set[str]]:
    """Every command of tracegrad in any page, with the options that pages give it."""
    found: dict[tuple[str, ...], set[str]] = {}
    for page in PAGES:
        for block in blocks(page):
            for words in commands(block) if block.language == "bash" else ():
                if words[0] == "tracegrad":
                    options = {word.split("=")[0] for word in words if word.startswith("--")}
                    subject = takewhile(lambda word: not word.startswith("-"), words[1:])
                    found.setdefault(tuple(subject), set()).update(options)
    return found


def test_every_command_and_option_that_a_page_shows_exists(capsys):
    for shown, options in shown_commands().items():
        command, *subject = shown
        assert command in COMMANDS, shown
        if options:
            named = command in ("train", "export", "data", "bench", "tasks")
            assert main([command, *(subject if named else ()), "--help"]) == 0, shown
            known = set(re.findall(r"--[a-z0-9-]+", capsys.readouterr().out))
            assert options <= known, (shown, options - known)


@pytest.mark.parametrize("page", ["choosing.md", "studies.md"])
def test_a_study_that_a_page_shows_can_be_read(page, tmp_path):
    (shown,) = [b for b in blocks(ROOT / "docs" / page) if b.title == "mine.toml"]
    (tmp_path / shown.title).write_text(shown.code)
    assert load_study(str(tmp_path / shown.title), "full").seeds == 5


def test_links_out_of_the_site_and_pictures_are_there():
    for page in [*ROOT.glob("*.md"), *DOCS]:
        bare = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", bare):
            if not re.match(r"https?:|#", target):
                path = page.parent / target.split("#")[0]
                assert path.exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_navigation_and_strict_checks_reach_anchors():
    site = (ROOT / "mkdocs.yml").read_text()
    for page in DOCS:
        assert re.search(rf": {re.escape(page.name)}$", site, re.MULTILINE), page.name
    assert re.search(r"^strict: true$", site, re.MULTILINE)
    assert "- docs/strict_build.py" in site
    assert re.search(r"^  anchors: warn$", site, re.MULTILINE)


@pytest.mark.parametrize(("anchor", "code"), [("#one", 0), ("#none", 1)])
def test_a_quiet_strict_build_stops_at_a_broken_anchor(anchor, code, tmp_path):
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    site = (ROOT / "mkdocs.yml").read_text()
    checks = re.search(r"^validation:\n(  .*\n)+", site, re.MULTILINE)
    assert checks is not None
    hook = f"hooks: [{ROOT / 'docs' / 'strict_build.py'}]"
    (tmp_path / "mkdocs.yml").write_text(f"site_name: tiny\n{checks[0]}{hook}\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n[there](page.md{anchor})\n")
    (tmp_path / "docs" / "page.md").write_text("# Page\n\n## One\n")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code, done.stderr


def address(name: str) -> str:
    """Where the reference has a public name."""
    thing = getattr(tg, name)
    if inspect.ismodule(thing):
        return thing.__name__
    return f"{thing.__module__}.{thing.__qualname__}"


def test_the_reference_lists_every_public_name_where_it_is():
    text = (ROOT / "docs" / "api.md").read_text()
    listed = dict(re.findall(r"\[`(\w+)`\]\[([\w.]+)\]", text))
    assert listed == {name: address(name) for name in tg.__all__}


def test_numbers_and_widths_of_a_printed_line_do_not_matter():
    assert masked("loss  2.30e-01   eprop") == masked("loss -1 eprop") != masked("loss 1 bptt")
