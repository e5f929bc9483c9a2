"""App: the page of one run, for those who know its token and ask this machine by its own name."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
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

from tracegrad.report.page import plotting_library
from tracegrad.run.control import Wish, ask, live, wish
from tracegrad.run.folder import RunFolder

TICK = 0.5  # seconds between two looks at the folder
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
    script, library = _text("page.js"), plotting_library()
    page = Template(_text("page.html")).substitute(
        title=escape(run.path.resolve().name), style=_text("page.css")
    )

    def show(request: Request) -> Response:
        return HTMLResponse(page, headers=HEADERS)

    def code(request: Request) -> Response:
        text = library if request.path_params["name"] == "plotly" else script
        return Response(text, media_type="text/javascript", headers=HEADERS)

    def events(request: Request) -> Response:
        return StreamingResponse(_events(run), media_type="text/event-stream", headers=HEADERS)

    async def control(request: Request) -> Response:
        try:
            wanted = await request.json()
            ask(run.path, Wish(paused={True: True, False: False}[wanted["paused"]]))
        except (ValueError, TypeError, KeyError):
            return PlainTextResponse('Expected {"paused": true} or {"paused": false}.', 400)
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


def standing(run: RunFolder) -> dict[str, Any]:
    """Where the run stands: its epochs, the batch it is at, and whether it is paused or done."""
    config = run.config()
    return {
        "task": config.task,
        "rule": config.learning.rule,
        "of": config.learning.epochs,
        "epochs": [asdict(epoch) for epoch in run.epochs()],
        "live": live(run.path),
        "paused": wish(run.path).paused,
        "finished": run.finished,
    }


async def _events(run: RunFolder) -> AsyncIterator[str]:
    """Server-sent events: the standing whenever it is another one, until the run is finished."""
    last = None
    while True:
        now = standing(run)
        if now != last:
            yield f"data: {json.dumps(now)}\n\n"
        if now["finished"]:
            return
        last = now
        await asyncio.sleep(TICK)


def _text(name: str) -> str:
    return files("tracegrad.watch").joinpath(name).read_text(encoding="utf-8")
