"""Let warnings be heard in a quiet build: `mkdocs build --strict --quiet` would count none."""

import logging
from typing import Any


def on_startup(**_: Any) -> None:
    """Undo of `--quiet` what hides warnings, of broken links and anchors among them."""
    logger = logging.getLogger("mkdocs")
    if logger.level > logging.WARNING:
        logger.setLevel(logging.WARNING)
