"""The protocols of the rows of findings: for whoever reads them, and for the reconcile that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .drift_kinds import Policy
from .findings import Finding, FindingPage, Looked, Written
from .ports import Page


class FindingRows(Protocol):
    """What may be read of findings."""

    async def findings(
        self, page: Page, *, instance: str | None = None, policy: Policy | None = None, resolved: bool = False
    ) -> FindingPage:
        """Findings that stand, or are gone, of one instance or all, with one policy or any, the first seen first."""
        ...


class Findings(FindingRows, Protocol):
    """What a reconcile writes."""

    async def reconciled(self, looked: Sequence[Looked], findings: Sequence[Finding]) -> Written:
        """Write what was found of these instances, and resolve what of theirs is gone; one transaction.

        An instance whose row's generation is another by now is left as it is.
        """
        ...
