"""Worker: a process that trains the cells it is sent, one after another."""

import os
import signal
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from threading import Thread

from tracegrad.run.environment import environment
from tracegrad.study.cell import Cell
from tracegrad.study.outcome import train_cell


def work(pipe: Connection) -> None:
    """Receive cells, send every epoch and then the outcome, until the pipe is closed.

    It leaves at once when its parent is gone, however that ended, so that a study that goes on has
    the machine for itself. Ctrl-C is for the parent, which ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_leave_with_parent, daemon=True).start()
    made = environment() | {"cores": os.cpu_count()}
    while True:
        try:
            cell = pipe.recv()
        except EOFError:
            return
        assert isinstance(cell, Cell)
        pipe.send(train_cell(cell, pipe.send, made))


def _leave_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # a worker is spawned
    parent.join()
    os._exit(1)
