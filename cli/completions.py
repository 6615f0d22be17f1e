"""What the shell offers where a word is one of few: read from files, never asked of a part that may be slow."""

from __future__ import annotations

import contextlib


def plans(incomplete: str) -> list[str]:
    """The catalog's plans; none where the catalog cannot be read."""
    from ..model.errors import InnkeeperError
    from ..settings import Settings

    with contextlib.suppress(InnkeeperError):
        return [name for name in Settings.load().load_catalog().plans if name.startswith(incomplete)]
    return []


def statuses(incomplete: str) -> list[str]:
    """An instance's statuses."""
    from ..model.instance import Status

    return [status.value for status in Status if status.value.startswith(incomplete)]


def kinds(incomplete: str) -> list[str]:
    """The kinds of operations."""
    from ..model.instance import Kind

    return [kind.value for kind in Kind if kind.value.startswith(incomplete)]
