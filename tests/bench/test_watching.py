"""What the page that watches costs is what docs/reports.md says of it."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_watching_takes_less_than_three_per_cent_of_the_work():
    content = json.loads((ROOT / "bench" / "results" / "watching.json").read_text())
    assert not content["commit"].endswith("dirty") and len(content["rows"]) == 2
    for row in content["rows"]:
        assert row["spent"] < 0.03, row["rule"]
        assert all(one["watched"]["snapshots"] >= 3 for one in row["rounds"]), "it was looked at"
        assert all(one["alone"]["snapshots"] == 0 for one in row["rounds"])
    page = (ROOT / "docs" / "reports.md").read_text()
    assert "less than 3 % of the processor's time" in page and "bench/watching.py" in page
