"""The page: shows what the files hold, escapes what users name, asks nothing of the network."""

import base64
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tracegrad.inspect import Fidelity
from tracegrad.report.page import PANELS, page
from tracegrad.report.seen import labels, see
from tracegrad.run.cli import main
from tracegrad.run.folder import RunFolder
from tracegrad.run.record_file import from_npz

from .conftest import BREAKOUT, HOSTILE, Elements
from .values import expected, found


@pytest.fixture(scope="session")
def plots(elements: Elements) -> dict:
    """What the page's script is given to draw."""
    script = next(at for at, (tag, a) in enumerate(elements.tags) if a.get("id") == "plots")
    assert elements.tags[script][0] == "script"
    return json.loads(next(text for tag, text in elements.texts if text.startswith('{"plot-')))


@pytest.mark.parametrize("at", [0, 1])
def test_every_panel_shows_what_the_files_hold(made, plots, at):
    wanted = expected(made.folders[at].path, at)
    assert len(wanted) == 6
    for name, series in wanted.items():
        for axis, values in series:
            assert np.size(values) > 0, f"{name} shows nothing"
            assert found(plots[name]["data"], axis, values), f"{name} lacks {axis} {values}"


def test_the_network_spikes_and_the_synapse_is_active(made):
    record = made.seen[0].record
    assert record.hidden[0].sum() > 3 and abs(record.factors.product.sum()) > 1e-6


def test_fidelity_and_audit_are_those_of_the_instruments(made, plots, elements):
    seen = made.seen[0]
    assert isinstance(seen.fidelity, Fidelity), seen.fidelity
    data = plots["plot-fidelity-0"]["data"]
    for entry in seen.fidelity.to_json()["parameters"]:
        for quantity in ("cosine", "norm_ratio", "share"):
            values = entry["by_lag"][quantity]
            assert any(t["name"] == entry["name"] and t["y"] == values for t in data)
    assert {e.name for e in seen.fidelity.parameters} == {
        "layers.0.input.weight", "layers.0.recurrent.weight", "readout.input.weight",
    }  # fmt: skip
    # 6 lines and 8 neurons into 8 neurons, and 8 into 2 units of the readout.
    assert seen.audit.synapses == 6 * 8 + 8 * 8 + 8 * 2
    cells = [text for tag, text in elements.texts if tag == "td"]
    assert "128" in cells and f"{seen.audit.memory.rule:,}" in cells
    assert "plot-fidelity-1" not in plots and "--no-instruments" in "".join(cells_of(elements, "p"))


def cells_of(elements: Elements, tag: str) -> list[str]:
    return [text for name, text in elements.texts if name == tag]


def test_hostile_names_are_text(made, elements):
    assert made.seen[1].label == HOSTILE
    assert HOSTILE in cells_of(elements, "h3"), "it is shown, as it is"
    assert not elements.all("img") and not elements.all("b")
    assert len(elements.all("script")) == 3
    for _, attributes in elements.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
    assert BREAKOUT not in made.html and "onerror=alert(1)>" not in made.html


def test_plotly_is_not_given_tags(plots):
    """Plotly reads some tags and entities in its texts, so they are escaped once more for it."""
    texts = [trace.get("name", "") for plot in plots.values() for trace in plot["data"]]
    texts += [a["text"] for p in plots.values() for a in p["layout"].get("annotations", ())]
    assert any("&lt;img" in text for text in texts) and any("&lt;/script" in text for text in texts)
    assert not any("<" in text for text in texts)


def test_plots_are_as_plotly_defines_them(plots):
    figures = pytest.importorskip("plotly.graph_objects")
    for plot in plots.values():
        figures.Figure(plot)  # an unknown property raises


def test_the_page_asks_nothing_of_the_network(made, elements):
    assert not elements.all("link") and not elements.all("iframe")
    assert all(a["href"].startswith("#") for a in elements.all("a"))
    policy = elements.all("meta")[1]["content"]
    assert "default-src 'none'" in policy and "unsafe-inline' " not in policy.split("style-src")[0]
    library = made.html.rsplit("<script>", 2)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(library.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy and "plotly.js" in library[:200]


def test_differences_between_runs_are_marked(made):
    rows = re.findall(
        r'<tr class="differs"><th scope="row">(.*?) <span.*?</th>(.*?)</tr>', made.html
    )
    assert rows == 2 * [("learning.learning_rate", "<td>0.02</td><td>0.5</td>")]


def test_what_was_changed_while_a_run_trained_is_told(made, elements):
    assert not made.seen[0].changes
    assert f"{HOSTILE}: changed while it trained" in cells_of(elements, "caption")
    assert BREAKOUT in cells_of(elements, "th")
    assert re.findall(r"<tr><th.*?</th>(<td>0.25</td>.*?)</tr>", made.html) == [
        "<td>0.25</td><td>1</td><td>3</td>"
    ]


def test_every_plot_is_named_and_reached_by_keyboard(made, elements, plots):
    boxes = [a for a in elements.all("div") if a.get("class") == "plot"]
    assert {box["id"] for box in boxes} == plots.keys()
    assert all(box["tabindex"] == "0" and len(box["aria-label"]) > 40 for box in boxes)
    names = [a["id"] for a in elements.all("section")]
    assert len(names) == len(PANELS) == len(elements.all("nav")) * len(set(names))
    assert ["#main", *(f"#{name}" for name in names)] == [a["href"] for a in elements.all("a")]


def test_a_run_without_a_record_says_so(run, tmp_path):
    bare = RunFolder(shutil.copytree(run.path, tmp_path / "bare"))
    for name in ("record.npz", "confusion.csv"):
        (bare.path / name).unlink()
    seen = see(bare, "bare", False)
    assert seen.record is None and seen.confusion is None
    html = page([seen])
    assert html.count("No sequence was recorded: the run was made with --no-pictures") == 3
    assert "targets are values and no classes" in html and "plot-learning" in html
    (bare.path / "record.npz").write_bytes(b"nonsense")
    assert main(["report", str(bare.path), "--no-instruments"]) == 2


def test_the_command_writes_the_page(run, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", str(run.path), "--out", str(out), "--no-instruments"]) == 0
    assert str(out) in capsys.readouterr().out
    assert out.read_text().startswith("<!doctype html>") and "plot-factors-0" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "report needs a run folder"),
        (["nowhere"], "There is no run folder nowhere"),
        ([str(Path(__file__).parent)], "is no run folder: it has no config.toml"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, said, capsys):
    assert main(["report", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_unfinished_run_is_one_sentence(run, tmp_path, capsys):
    half = shutil.copytree(run.path, tmp_path / "half")
    (half / "summary.json").unlink()
    assert main(["report", str(run.path), str(half), "--no-instruments"]) == 2
    assert "half is unfinished: it has no summary.json" in capsys.readouterr().err


def test_without_plotly_it_says_how_to_install_it(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert main(["report", str(run.path), "--no-instruments"]) == 2
    assert "python -m pip install 'tracegrad[report]'" in capsys.readouterr().err


def test_equal_names_are_told_apart_by_their_paths():
    paths = [Path("/a/run"), Path("/b/run"), Path("/b/other")]
    assert labels(paths) == ["/a/run", "/b/run", "other"]


def test_a_record_comes_back_bit_for_bit(run):
    record = from_npz(run.path / "record.npz")
    again = run.path.parent / "again"
    again.mkdir()
    other = RunFolder(again)
    other.save_record(record)
    for one, two in zip(_leaves(record), _leaves(other.record()), strict=True):
        np.testing.assert_array_equal(one, two)


def _leaves(record) -> list:
    factors = record.factors._asdict()
    local = factors.pop("local")
    plain = record._replace(hidden=(), factors=None)
    return [*plain, *record.hidden, *factors.values(), *local, *local.values()]
