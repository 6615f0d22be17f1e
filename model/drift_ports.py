"""The protocol by which a reconcile looks at a whole cluster in a few lists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from .drift_picture import Look
from .ports import Manifest


class Fleet(Protocol):
    """All instances of one cluster at once."""

    def pages(self, look: Look, *, namespace: str | None = None) -> AsyncIterator[list[Manifest]]:
        """The objects that a look is for, page by page, in all namespaces or in one.

        Raises:
            Conflict: the list grew too old between two pages; begin again.
        """
        ...
