"""What one run of `make bench` keeps apart and compares with nothing else: so many at once, beside so many others.

Each series has a file of its own in benchmarks/results, so that a run of one leaves what is known of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .arms import PHASES
from .costs import Costs
from .machine import left
from .records import Record


@dataclass(frozen=True, order=True)
class Series:
    """Under which conditions the records of one table were taken."""

    on_disk: bool
    """Whether Temporal kept its state on disk."""
    present: int
    """Other instances that ran meanwhile."""
    size: int
    """Instances that were asked for at once."""

    @property
    def name(self) -> str:
        """Of its file, and of its place in docs/performance.md."""
        beside = f"-beside-{self.present}" if self.present else ""
        return f"fleet-{self.size}{beside}{'-on-disk' if self.on_disk else ''}"

    @property
    def title(self) -> str:
        """As people read it."""
        beside = f", {self.present} others present" if self.present else ""
        return f"{self.size} at once{beside}{', Temporal on disk' if self.on_disk else ''}"


def figures_of(series: Series, records: Sequence[Record]) -> dict[str, Any]:
    """What is written of a series."""
    return {**asdict(series), "records": [asdict(each) for each in records]}


def series_of(told: Mapping[str, Any]) -> Series:
    """Which series these written figures are of."""
    return Series(told["on_disk"], told["present"], told["size"])


def records_of(told: Mapping[str, Any]) -> list[Record]:
    """The records of written figures."""
    return [Record(**{**each, "costs": Costs(**each["costs"])}) for each in told["records"]]


def last_runs() -> list[dict[str, Any]]:
    """What the last run of each series left, the usual ones first."""
    return sorted(left("fleet-"), key=series_of)


def complete(tolds: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that know the cost of every phase by itself: nothing else present, Temporal in memory; the smallest first.

    Args:
        tolds: written figures, in the order of their series.
    """

    def knows_all(told: Mapping[str, Any]) -> bool:
        alone = not told["on_disk"] and not told["present"]
        return alone and {each["phase"] for each in told["records"]} == {*PHASES}

    return [told for told in tolds if knows_all(told)]
