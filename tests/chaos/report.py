"""The crash matrix for people and for programs: operation × effect × fault with what came of it, and what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from .effects import Fault
from .runner import Verdict
from .scenarios import SCENARIOS

WRONG = "WRONG"


class Report(NamedTuple):
    """What came of a whole run."""

    where: str
    """In memory, or on the platform."""
    seed: int
    seconds: float
    whole: int
    """How many cells there are, of which these are all or a part."""
    verdicts: Sequence[Verdict]

    @property
    def wrong(self) -> list[Verdict]:
        """The cells whose world is not as it must be."""
        return [verdict for verdict in self.verdicts if verdict.wrong]

    def size(self) -> str:
        """How much was tried, in a line."""
        operations = {verdict.cell.operation for verdict in self.verdicts}
        effects = {(verdict.cell.operation, verdict.cell.effect.place) for verdict in self.verdicts}
        return (
            f"{len(self.verdicts)} of {self.whole} cells: {len(operations)} operations, {len(effects)} effects; "
            f"{len(self.wrong)} wrong; {self.where}, seed {self.seed}, {self.seconds:.0f} s"
        )

    def markdown(self) -> str:
        """All of it as Markdown."""
        faults = [fault for fault in Fault if any(verdict.cell.fault is fault for verdict in self.verdicts)]
        lines = ["# Crash matrix", "", self.size(), ""]
        lines += _table(["operation", "effect", *faults], self._rows(faults))
        counted = Counter((verdict.cell.fault, _word(verdict)) for verdict in self.verdicts)
        lines += ["", *_table(["fault", "came to", "cells"], [[*map(str, key), str(n)] for key, n in _sorted(counted)])]
        if self.wrong:
            lines += ["", "## Wrong worlds", ""]
            lines += [f"- `{verdict.cell}`: {verdict.wrong}" for verdict in self.wrong]
        return "\n".join(lines) + "\n"

    def _rows(self, faults: Sequence[Fault]) -> Iterable[list[str]]:
        found: dict[tuple[int, tuple[int, int]], dict[Fault, Verdict]] = {}
        order = list(SCENARIOS)
        for verdict in self.verdicts:
            place = (order.index(verdict.cell.operation), verdict.cell.effect.place)
            found.setdefault(place, {})[verdict.cell.fault] = verdict
        for _, by_fault in sorted(found.items()):
            cell = next(iter(by_fault.values())).cell
            words = [_word(by_fault[fault]) if fault in by_fault else "" for fault in faults]
            yield [cell.operation, str(cell.effect), *words]

    def json(self) -> str:
        """All of it for programs."""
        told = {
            "where": self.where,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "cells": len(self.verdicts),
            "whole": self.whole,
            "wrong": len(self.wrong),
            "matrix": [
                {
                    "cell": str(verdict.cell),
                    "operation": verdict.cell.operation,
                    "effect": str(verdict.cell.effect),
                    "fault": verdict.cell.fault,
                    "outcome": verdict.outcome,
                    "wrong": verdict.wrong,
                }
                for verdict in self.verdicts
            ],
        }
        return json.dumps(told, indent=1) + "\n"

    def write(self, folder: Path) -> None:
        """Leave both in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "matrix.md").write_text(self.markdown())
        (folder / "matrix.json").write_text(self.json())


def _word(verdict: Verdict) -> str:
    return WRONG if verdict.wrong else verdict.outcome.replace("_", " ")


def _sorted(counted: Counter[tuple[Fault, str]]) -> list[tuple[tuple[Fault, str], int]]:
    order = list(Fault)
    return sorted(counted.items(), key=lambda item: (order.index(item[0][0]), -item[1]))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
