"""A result file says what was measured, where, and from which commit."""

import json
import subprocess

from tracegrad.bench import origin, result, write


def test_a_result_says_where_it_comes_from(tmp_path):
    path = write(tmp_path / "deep" / "speed.json", origin(), {"seconds": 1}, [{"ms": 2.5}])
    content = json.loads(path.read_text())
    assert content["name"] == "speed"
    assert content["settings"] == {"seconds": 1} and content["rows"] == [{"ms": 2.5}]
    assert {"python", "jax", "numpy", "tracegrad"} <= content["versions"].keys()
    assert content["machine"]["vectors"] in ("avx512f", "avx2", "avx", "sse2", "sve", "asimd", "")
    assert content["machine"]["cores"] >= 1 and len(content["machine"]["load"]) == 3


def checkout(folder, monkeypatch):
    """A repository with the module in it; the module believes it lies there."""
    source = folder / "src" / "bench"
    results = folder / "bench" / "results"
    for made in (source, results):
        made.mkdir(parents=True)
        (made / "file.py").write_text("1\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for call in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", folder, *call], check=True)
    monkeypatch.setattr(result, "__file__", str(source / "result.py"))
    return source, results


def test_a_changed_source_marks_the_commit_and_a_changed_result_does_not(tmp_path, monkeypatch):
    source, results = checkout(tmp_path, monkeypatch)
    clean = origin().commit
    assert len(clean) == 12
    (results / "file.py").write_text("2\n")
    assert origin().commit == clean
    (source / "file.py").write_text("2\n")
    assert origin().commit == f"{clean}-dirty"


def test_outside_of_a_repository_the_commit_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(result, "__file__", str(tmp_path / "result.py"))
    assert origin().commit == "unknown"
