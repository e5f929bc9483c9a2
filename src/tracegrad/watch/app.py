"""App: the page of one run, for those who know its token and ask this machine by its own name."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, replace
from html import escape
from importlib.resources import files
from secrets import compare_digest
from string import Template
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tracegrad.errors import UsageError
from tracegrad.report.page import plotting_library, text
from tracegrad.run.changes import changes, latest, refusals
from tracegrad.run.control import Wanted, ask, live, offered, want, wanted, wish
from tracegrad.run.folder import RunFolder
from tracegrad.run.numbers import check
from tracegrad.run.snapshot import LOOKING
from tracegrad.run.strict_json import from_json
from tracegrad.watch.snapshot import plots, taken_at

TICK = 0.5  # seconds between two looks at the folder
EXPECTED = (
    'Expected {"paused": true or false}, {"learning_rate": a positive number}, {"number": [name, '
    'value]}, or {"synapse": [neuron, line] or null}.'
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def watched(run: RunFolder, token: str) -> Starlette:
    """The application: everything lies below `/TOKEN/`, all else is forbidden.

    Another `Host` than this machine's own is refused too: a name that an attacker points at
    127.0.0.1 (DNS rebinding) is none of them.
    """
    script, library = text("dress.js") + _text("page.js"), plotting_library()
    page = Template(_text("page.html")).substitute(
        title=escape(run.path.resolve().name), style=text("page.css") + _text("page.css")
    )

    def show(request: Request) -> Response:
        return HTMLResponse(page, headers=HEADERS)

    def code(request: Request) -> Response:
        said = library if request.path_params["name"] == "plotly" else script
        return Response(said, media_type="text/javascript", headers=HEADERS)

    def events(request: Request) -> Response:
        return StreamingResponse(_events(run), media_type="text/event-stream", headers=HEADERS)

    async def control(request: Request) -> Response:
        try:
            heed(run, await request.body())
        except UsageError as error:
            return PlainTextResponse(str(error), 400)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return PlainTextResponse(EXPECTED, 400)
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/{token}/", show),
            Route("/{token}/{name}.js", code),
            Route("/{token}/events", events),
            Route("/{token}/control", control, methods=["POST"]),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
            Middleware(Guard, token=token),
        ],
    )


class Guard:
    """Refuses a request whose path does not begin with the token."""

    def __init__(self, app: ASGIApp, token: str):
        """Guard `app`."""
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what bears the token; 403 otherwise."""
        if scope["type"] == "http":
            first = scope["path"].lstrip("/").partition("/")[0]
            if not compare_digest(first.encode(), self.token.encode()):
                refused = PlainTextResponse("The address lacks the token of this page.", 403)
                return await refused(scope, receive, send)
        return await self.app(scope, receive, send)


def heed(run: RunFolder, body: bytes) -> None:
    """Hand on what the page asks for; `ValueError` or the like if it is no wish.

    `UsageError` says why a number may not become what is asked for.
    """
    asked = json.loads(body)
    if not isinstance(asked, dict) or len(asked) != 1:
        raise ValueError(EXPECTED)
    ((name, value),) = asked.items()
    if name == "paused":
        return ask(run.path, replace(wish(run.path), paused={True: True, False: False}[value]))
    before = wanted(run.path)
    if name == "learning_rate" and type(value) is int:
        value = float(value)
    if name == "number":
        chosen, number = _number(run, value)
        name, value = "numbers", before.numbers | {chosen: number}
    elif name == "numbers":
        raise ValueError(EXPECTED)
    want(run.path, from_json(Wanted, json.dumps(asdict(before) | {name: value})))


def _number(run: RunFolder, asked: Any) -> tuple[str, float]:
    """A name and a value that the run offers."""
    name, value = asked
    if not isinstance(name, str) or type(value) not in (int, float):
        raise ValueError(EXPECTED)
    check(offered(run.path), name, float(value))
    return name, float(value)


def standing(run: RunFolder) -> dict[str, Any]:
    """Where the run stands: its epochs, the batch it is at, and whether it is paused or done."""
    config, made, may = run.config(), changes(run.path), offered(run.path)
    now = latest(made, {name: number.value for name, number in may.items()})
    refused, here = refusals(run.path), live(run.path)
    return {
        "task": config.task,
        "rule": config.learning.rule,
        "of": config.learning.epochs,
        "epochs": [asdict(epoch) for epoch in run.epochs()],
        "live": here,
        "paused": wish(run.path).paused,
        "rate": config.learning.learning_rate,
        "changes": [change._asdict() for change in made],
        "numbers": [
            {"name": name, "now": now[name], "bounds": number.bounds, **asdict(number)}
            for name, number in may.items()
        ],
        "refused": refused[-1]._asdict() if refused else None,
        "finished": run.finished or bool(here and here.get("ended")),
    }


async def _events(run: RunFolder) -> AsyncIterator[str]:
    """Server-sent events: the standing and the snapshot whenever it is another one, until the run
    is finished. As long as somebody asks for them, somebody looks.
    """
    last, shown = None, 0
    while True:
        with suppress(OSError):
            (run.path / LOOKING).touch()
        now = standing(run)
        if now != last:
            yield f"data: {json.dumps(now)}\n\n"
        if (taken := taken_at(run)) != shown:
            yield f"event: snapshot\ndata: {json.dumps(plots(run))}\n\n"
        if now["finished"]:
            return
        last, shown = now, taken
        await asyncio.sleep(TICK)


def _text(name: str) -> str:
    return files("tracegrad.watch").joinpath(name).read_text(encoding="utf-8")
