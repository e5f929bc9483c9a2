"""`tracegrad watch RUN`: look at a training or a stream while it runs."""

import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import tyro

from tracegrad.data.extras import extra
from tracegrad.errors import UsageError
from tracegrad.run.control import ask, wish
from tracegrad.run.folder import open_run
from tracegrad.run.options import parse


@dataclass(frozen=True)
class WatchOptions:
    """Serve a page of a running training or stream, to this machine only, that also steers it."""

    run: tyro.conf.Positional[Path | None] = None
    """Folder of the run or the stream."""
    port: int = 0
    """Port on 127.0.0.1; 0: any that is free."""


def watch(arguments: list[str]) -> None:
    """Serve until interrupted."""
    options = parse(WatchOptions(), "watch", arguments)
    if options.run is None:
        raise UsageError("watch needs a run folder: tracegrad watch RUN.")
    run = open_run(options.run)
    run.config()
    uvicorn, _ = (extra(package, "Live pages", "watch") for package in ("uvicorn", "starlette"))
    from tracegrad.watch.app import watched  # imports starlette

    token = secrets.token_urlsafe(24)
    app = watched(run, token)
    with socket.create_server(("127.0.0.1", options.port)) as listening:
        ask(run.path, wish(run.path))  # from now on the run says where it stands
        print(f"Watching {run.path}: http://127.0.0.1:{listening.getsockname()[1]}/{token}/")
        print("Ctrl-C ends watching, not what is watched.", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        server.run(sockets=[listening])
