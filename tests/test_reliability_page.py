"""The table of docs/reliability.md is what tests counted, and a test that fails ends up in none."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REPORT = """<testsuites><testsuite>
<testcase classname="tests.run.test_kill" name="a"><properties>
  <property name="kills" value="7"/></properties></testcase>
<testcase classname="tests.run.test_kill" name="b"><properties>
  <property name="kills" value="5"/></properties></testcase>
<testcase classname="tests.run.test_kill" name="c"><failure message="lost"/></testcase>
<testcase classname="tests.test_fuzz" name="d"><skipped/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import reliability

    return reliability


def test_the_page_is_that_of_the_result_files(made):
    page = made.PAGE.read_text()
    assert made.written(page) == page, "run: python bench/reliability.py --page"


def test_results_come_from_a_clean_commit_where_nothing_failed(made):
    content = json.loads((made.result.FOLDER / "reliability.json").read_text())
    assert not content["commit"].endswith("dirty")
    assert all(row["failed"] == 0 < row["tests"] for row in content["rows"])
    assert not any(row["commit"].endswith("dirty") for row in made.record().values())
    assert len(made.lines(made.record())) == len(made.COUNTS)


def test_every_file_of_tests_is_there(made):
    assert all((ROOT / "tests" / count.file).is_file() for count in made.COUNTS)


def test_counts_are_summed_and_failures_are_counted(made, tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    assert made.counted(tmp_path / "report.xml") == {
        "run/test_kill.py": {
            "file": "run/test_kill.py", "tests": 2, "failed": 1, "skipped": 0, "kills": 12,
        },
        "test_fuzz.py": {"file": "test_fuzz.py", "tests": 0, "failed": 0, "skipped": 1},
    }  # fmt: skip


def test_a_failed_test_writes_nothing(made, monkeypatch):
    good = {c.file: {"file": c.file, "tests": 1, "failed": 0, c.name: 1} for c in made.COUNTS}
    for count in made.COUNTS:
        good[count.file][count.name] = 1
    monkeypatch.setattr(made, "PAGE", None)  # nothing can be written there
    monkeypatch.setattr(made.result, "write", None)
    monkeypatch.setattr(sys, "argv", ["reliability.py"])
    for change in ({"failed": 1}, {"events": 0}):
        bad = good | {"stream/test_soak.py": good["stream/test_soak.py"] | change}
        monkeypatch.setattr(made, "tried", lambda *given, bad=bad: bad)
        with pytest.raises(SystemExit, match="stream/test_soak.py"):
            made.main()


def test_a_record_is_made_in_pieces(made):
    """A piece takes its place and leaves the others, and long tests are not lost to short ones."""

    def row(file: str, slow: bool, count: int) -> dict:
        return {file: {"file": file, "slow": slow, "count": count}}

    first, second = made.FILES[:2]
    before = row(second, False, 1) | row("gone.py", False, 1) | row(first, True, 2)
    short, long = row(first, False, 3), row(second, True, 4)
    assert made.merged(before, short | long) == [before[first], long[second]]
    assert made.merged({}, short) == [short[first]]
    assert made.merged(before, row(first, True, 5)) == [
        *row(first, True, 5).values(), before[second],
    ]  # fmt: skip
