"""How figures are summed up and shown, the same way in every benchmark: percentiles, ratios, verdicts, tables, pages.

Pure, so that tests hold it: a table that sums up wrongly would mislead for years.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SHARES = (50, 95, 99)
"""The percentiles that are told."""


class Target(NamedTuple):
    """What was promised of one figure, and what was measured."""

    what: str
    at_most: float
    measured: float
    unit: str = ""

    @property
    def verdict(self) -> str:
        """Whether it is met, or by how much it is missed."""
        if self.measured <= self.at_most:
            return "met"
        if not self.at_most:
            return "missed"
        return f"missed by {self.measured / self.at_most - 1:.0%}"


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that `share` per cent of all do not exceed: one that was measured, never a mean.

    Raises:
        ValueError: there are no values.
    """
    found = sorted(values)
    if not found:
        raise ValueError("percentile of nothing")
    return found[max(1, math.ceil(len(found) * share / 100)) - 1]


def percentiles(values: Iterable[float], digits: int = 2) -> str:
    """The told percentiles for a table's cell; a dash where nothing was measured."""
    found = list(values)
    return " / ".join(f"{percentile(found, share):.{digits}f}" for share in SHARES) if found else "–"


def ratios(ours: Mapping[int, float], others: Mapping[int, float]) -> list[float]:
    """Ours by the others', round by round, of the rounds that both have and in which the others cost something.

    A ratio of medians would compare rounds that ran minutes apart, under different loads.
    """
    return [ours[number] / others[number] for number in sorted(ours.keys() & others.keys()) if others[number]]


def ratio(ours: Mapping[int, float], others: Mapping[int, float]) -> float | None:
    """The median of the rounds' ratios; None where no round has both."""
    found = ratios(ours, others)
    return statistics.median(found) if found else None


def ratio_cell(ours: Mapping[int, float], others: Mapping[int, float]) -> str:
    """The median ratio with the lowest and the highest of the rounds, for a table's cell."""
    found = ratios(ours, others)
    if not found:
        return "–"
    return f"**{statistics.median(found):.2f}** ({min(found):.2f}–{max(found):.2f})"


def middle(values: Iterable[float]) -> float:
    """The median; 0 of nothing."""
    found = list(values)
    return float(statistics.median(found)) if found else 0.0


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table, numbers to the right; none where there are no rows.

    Raises:
        ValueError: a row has more or fewer cells than the header.
    """
    body = [[str(cell) for cell in row] for row in rows]
    if any(len(row) != len(header) for row in body):
        raise ValueError(f"a row of {header[0]!r} has not {len(header)} cells")
    if not body:
        return []
    rule = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in ([*header], rule, *body)]


def verdicts(targets: Iterable[Target]) -> list[str]:
    """The table of targets."""
    rows = [
        (each.what, f"≤ {each.at_most:g}{each.unit}", f"{_short(each.measured)}{each.unit}", each.verdict)
        for each in targets
    ]
    return table(("target", "wanted", "measured", ""), rows)


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 or number == int(number) else f"{number:.2f}"


def pasted(page: str, name: str, block: Sequence[str]) -> str:
    """The page with `block` between its markers of this name, in place of what stood there.

    Raises:
        ValueError: the page has no such markers, or more than one pair.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if (page.count(begin), page.count(end)) != (1, 1) or page.index(begin) > page.index(end):
        raise ValueError(f"the page needs {begin} and, after it, {end}, once each")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return "\n".join([f"{before}{begin}", "", *block, "", f"{end}{after}"])
