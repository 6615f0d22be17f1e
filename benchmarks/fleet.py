"""What many instances cost at once, beside bare Helm doing the same: each round plays both, in turns, on one platform.

Prints Markdown tables and writes all figures, with the machine and its load, to benchmarks/results, a file for each
series. Ratios are what counts: the same work differs by half from one run to the next. Nothing is asserted here.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from . import fleet_tables
from .arms import PHASES
from .machine import Report, publish_all
from .records import Record, measured
from .series import Series, complete, figures_of, last_runs, series_of
from .stage import Stage, opened, say

PODS = 3
"""Of one instance at most: two, and a new one before an old one goes."""


def needed(chosen: Sequence[str]) -> frozenset[str]:
    """The phases that are played, so that those chosen find what they begin from; only the chosen ones are measured."""
    resting = {"stop", "start"}
    return frozenset({"provision", "uninstall", *chosen, *(resting if resting.intersection(chosen) else ())})


async def played(stage: Stage, size: int, number: int, phases: Sequence[str]) -> AsyncIterator[Record]:
    """One round: each phase by both arms, one after the other; who is first changes from round to round."""
    order = ("ours", "bare") if number % 2 == 0 else ("bare", "ours")
    names = {arm: [f"{arm}-{size}-{stage.present}-{number}-{index}" for index in range(size)] for arm in order}
    for phase in PHASES:
        for arm in order:
            if phase in phases:
                yield await measured(stage, arm, phase, names[arm], number)
            elif phase in needed(phases):
                await stage.arms[arm].phase(phase, names[arm])
    for arm in order:
        await stage.arms[arm].phase("purge", names[arm])


async def measure(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """All figures of one run, by series; what was measured is written after each round."""
    reports = {series: Report(series.name) for series in _series(chosen)}
    found: dict[Series, list[Record]] = {series: [] for series in reports}
    told: dict[Series, dict[str, Any]] = {}
    async with opened(on_disk=chosen.on_disk) as stage:
        parts = await stage.versions()
        for report in reports.values():
            report.parts = parts
        await stage.make_room(max(chosen.present) + 2 * PODS * max(chosen.sizes))
        for others in sorted({each.present for each in reports}):
            await stage.fill(others)
            for number in range(chosen.rounds):
                for series in (each for each in reports if each.present == others):
                    async for record in played(stage, series.size, number, chosen.phases):
                        found[series].append(record)
                        _say(record)
                    told[series] = reports[series].leave(figures_of(series, found[series]))
    return list(told.values())


def _series(chosen: argparse.Namespace) -> list[Series]:
    """What is to be measured.

    Raises:
        SystemExit: an earlier run of all phases would be lost for one of some.
    """
    wanted = {Series(chosen.on_disk, others, size) for others in chosen.present for size in chosen.sizes}
    lost = wanted & {series_of(told) for told in complete(last_runs())} if {*chosen.phases} < {*PHASES} else set()
    if lost:
        files = " and ".join(f"benchmarks/results/{series.name}.json" for series in sorted(lost))
        raise SystemExit(
            f"--phases {' '.join(chosen.phases)}: {files} has all phases. Move it, or choose other --sizes"
        )
    return sorted(wanted)


def _say(record: Record) -> None:
    told = f"{record.arm:5} {record.phase:10} {record.size:5} × {record.costs.seconds:7.2f} s"
    say(f"round {record.round} present {record.present:4} {told}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    more: dict[str, Any] = {"type": int, "nargs": "+", "metavar": "N"}
    parser.add_argument("--sizes", default=[1, 10, 100], help="instances at once (1 10 100)", **more)
    parser.add_argument("--present", default=[0], help="others that run meanwhile, as 0 300 1000 (0)", **more)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each size, both arms in turns (5)")
    what = f"what is measured ({' '.join(PHASES)})"
    parser.add_argument("--phases", default=PHASES, nargs="+", choices=PHASES, metavar="PHASE", help=what)
    parser.add_argument("--on-disk", action="store_true", help="keep Temporal's state on disk")
    parser.add_argument("--last", action="store_true", help="measure nothing, and show the last run's of each series")
    parser.add_argument("--publish", action="store_true", help="put the tables into docs/performance.md")
    chosen = parser.parse_args()
    tolds = last_runs() if chosen.last else asyncio.run(measure(chosen))
    if not tolds:
        raise SystemExit("There is no benchmarks/results/fleet-*.json. Run: make bench")
    blocks = fleet_tables.blocks(tolds)
    print("\n\n".join("\n".join(lines) for lines in blocks.values()))
    if chosen.publish:
        publish_all(blocks)


if __name__ == "__main__":
    main()
