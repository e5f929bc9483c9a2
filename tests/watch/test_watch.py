"""Watching: only for those with the token, shows what the folder holds, pauses, and is logged."""

import asyncio
import json
import threading
from dataclasses import asdict

import pytest

from tracegrad.model.adjustable import Number
from tracegrad.run.cli import main
from tracegrad.run.config import Config
from tracegrad.run.control import Control, Wanted, Wish, ask, live, offer, wanted, wish
from tracegrad.run.folder import RunFolder, write
from tracegrad.run.train import Epoch, Progress

TOKEN = "a-token-of-this-test"
NUMBERS = {"a.b": Number(2.0, "height", "m", 1.0), "c.d": Number(0.5, "decay", "", high=1.0)}
EPOCHS = [Epoch(n, 2.0 / n, 0.5, 1.5 / n, 0.5 + n / 10, 0.1, 3.0, 1.0) for n in (1, 2)]


def progress(batch: int) -> Progress:
    return Progress(1, batch, 40, 0.75, 0.625, 0.125, 250.0)


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A run of two epochs, not finished."""
    made = RunFolder.create(tmp_path / "run", Config())
    for epoch in EPOCHS:
        made.add(epoch)
    return made


class Client:
    """Asks the application as a browser on this machine would."""

    def __init__(self, app, httpx):
        self.app, self.httpx = app, httpx

    def get(self, path: str, **given):
        return asyncio.run(self._ask("GET", path, given))

    def post(self, path: str, **given):
        return asyncio.run(self._ask("POST", path, given))

    async def _ask(self, method: str, path: str, given: dict):
        transport = self.httpx.ASGITransport(app=self.app)
        base = "http://127.0.0.1:8000"
        async with self.httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **given)


@pytest.fixture
def client(run) -> Client:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    pytest.importorskip("starlette", reason="starlette is not installed")
    from tracegrad.watch.app import watched

    return Client(watched(run, TOKEN), httpx)


@pytest.mark.parametrize("path", ["/", "/events", "/wrong/", f"/{TOKEN}x/", f"/x/{TOKEN}/"])
def test_without_the_token_all_is_forbidden(client, path):
    assert client.get(path).status_code == 403
    assert client.post(f"{path.rstrip('/')}/control", json={"paused": True}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_another_host_is_refused(client, run, host):
    """A page of an attacker whose name is pointed at 127.0.0.1 sends its own name."""
    answer = client.post(f"/{TOKEN}/control", json={"paused": True}, headers={"host": host})
    assert answer.status_code == 400 and not wish(run.path).paused
    assert client.get(f"/{TOKEN}/", headers={"host": host}).status_code == 400


def test_the_page_loads_only_its_own(client):
    page = client.get(f"/{TOKEN}/")
    assert page.status_code == 200 and "<h1>run</h1>" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    for name in ("plotly.js", "page.js"):
        assert f'src="{name}"' in page.text and client.get(f"/{TOKEN}/{name}").status_code == 200
    assert page.headers["referrer-policy"] == "no-referrer"  # the address bears the token


def test_events_say_what_the_folder_holds(client, run):
    ask(run.path, Wish())
    Control(run.path).after(progress(7))
    write(run.path / "summary.json", b"{}")  # a finished run ends the stream
    (line,) = client.get(f"/{TOKEN}/events").text.strip().splitlines()
    told = json.loads(line.removeprefix("data: "))
    assert told["epochs"] == [asdict(epoch) for epoch in EPOCHS]
    assert told["live"] == progress(7)._asdict() and told["finished"] and not told["paused"]
    assert (told["task"], told["rule"], told["of"]) == ("digits", "block_diagonal", 10)


WRONG = ["", "[]", "{}", '{"paused": 2}', '{"paused": "yes"}', '{"paused": true, "synapse": null}']
WRONG += [f'{{"learning_rate": {rate}}}' for rate in ("0", "-1", "NaN", "1e999", "[]", "true")]
WRONG += [f'{{"number": {pair}}}' for pair in ("[1, 2]", '["a"]', '"ab"', '["a.b", "c"]', "null")]
WRONG += ['{"numbers": {"a.b": 1.0}}', '{"number": ["a.b", true]}']
WRONG += [f'{{"synapse": {pair}}}' for pair in ("[1]", "[1, -1]", "[1.5, 2]", '["a", "b"]')]


@pytest.mark.parametrize(
    "body",
    [
        *WRONG,
        '{"speed": 3}',
        '["paused"]',
        "3",
        "[" * 100_000,
        f'{{"learning_rate": 1{"0" * 400}}}',
    ],
)
def test_a_wrong_wish_is_refused(client, run, body):
    answer = client.post(f"/{TOKEN}/control", content=body)
    assert answer.status_code == 400 and answer.text.startswith('Expected {"paused"')
    assert not (run.path / "control.json").exists() and not (run.path / "wanted.json").exists()


def test_a_wish_leaves_what_was_wished_before(client, run):
    for body in ('{"learning_rate": 1}', '{"synapse": [3, 2]}', '{"paused": true}'):
        assert client.post(f"/{TOKEN}/control", content=body).status_code == 204
    assert wanted(run.path) == Wanted(1.0, [3, 2]) and wish(run.path).paused
    assert client.post(f"/{TOKEN}/control", content='{"synapse": null}').status_code == 204
    assert wanted(run.path) == Wanted(1.0, None)
    offer(run.path, NUMBERS)
    for body in ('{"number": ["a.b", 1]}', '{"number": ["c.d", 0.25]}', '{"number": ["a.b", 3.5]}'):
        assert client.post(f"/{TOKEN}/control", content=body).status_code == 204
    assert wanted(run.path) == Wanted(1.0, None, {"a.b": 3.5, "c.d": 0.25})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("a.b", 0.5, "a.b must be at least 1, got 0.5. It stays 2."),
        ("c.d", 1.0, "c.d must be at least 0 and below 1, got 1. It stays 0.5."),
        ("e.f", 1.0, "e.f stays as it was at the start: what may change decides neither shapes,"),
    ],
)
def test_a_number_that_may_not_be_is_refused_with_the_reason(client, run, name, value, said):
    offer(run.path, NUMBERS)
    answer = client.post(f"/{TOKEN}/control", json={"number": [name, value]})
    assert answer.status_code == 400 and answer.text.startswith(said)
    assert not (run.path / "wanted.json").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"numbers": {"a.b": 3}}', '{"numbers": {}, "x": 1}'])
def test_a_damaged_offer_offers_nothing(client, run, text):
    (run.path / "numbers.json").write_text(text)
    answer = client.post(f"/{TOKEN}/control", json={"number": ["a.b", 1.0]})
    assert answer.status_code == 400 and answer.text.endswith("Choose one of: none.")


def test_numbers_are_told_with_unit_bounds_and_the_value_of_now(client, run):
    offer(run.path, NUMBERS)
    lines = [
        {"event": "number", "epoch": 1, "batch": 2, "name": "a.b", "value": 4.0},
        {"event": "refused", "epoch": 1, "batch": 3, "name": "a.b", "value": 9.0, "why": "So."},
    ]
    (run.path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write(run.path / "summary.json", b"{}")
    (line,) = client.get(f"/{TOKEN}/events").text.strip().splitlines()
    told = json.loads(line.removeprefix("data: "))
    first = {"name": "a.b", "value": 2.0, "now": 4.0, "what": "height", "unit": "m"}
    assert told["numbers"][0] | first == told["numbers"][0]
    assert [number["bounds"] for number in told["numbers"]] == [
        "at least 1",
        "at least 0 and below 1",
    ]
    assert told["numbers"][1]["now"] == 0.5
    assert told["refused"] == {name: lines[1][name] for name in lines[1] if name != "event"}


def test_whoever_asks_for_events_looks(client, run):
    write(run.path / "summary.json", b"{}")
    assert not (run.path / "looking").exists()
    client.get(f"/{TOKEN}/events")
    assert (run.path / "looking").exists()


def test_nothing_is_written_while_nobody_watches(run):
    before = sorted(path.name for path in run.path.iterdir())
    Control(run.path).after(progress(1))
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_the_page_pauses_and_resumes_the_run_and_both_are_logged(client, run):
    control = Control(run.path)
    assert client.post(f"/{TOKEN}/control", json={"paused": True}).status_code == 204
    batch = threading.Thread(target=control.after, args=(progress(3),), daemon=True)
    batch.start()
    batch.join(0.5)
    assert batch.is_alive(), "the run waits"
    assert live(run.path) == progress(3)._asdict()
    assert client.post(f"/{TOKEN}/control", json={"paused": False}).status_code == 204
    batch.join(20.0)
    assert not batch.is_alive(), "the run goes on"
    control.after(progress(4))
    lines = [json.loads(text) for text in (run.path / "events.jsonl").read_text().splitlines()]
    assert [(line["event"], line["epoch"], line["batch"]) for line in lines] == [
        ("paused", 1, 3),
        ("resumed", 1, 3),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "watch needs a run folder"), (["nowhere"], "nowhere is no run folder")],
)
def test_a_mistake_is_one_sentence(arguments, said, capsys):
    assert main(["watch", *arguments]) == 2
    assert said in capsys.readouterr().err
