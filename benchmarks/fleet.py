"""What many instances cost at once, beside bare Helm doing the same: each round plays both, in turns, on one platform.

Prints Markdown tables and writes all figures, with the machine and its load, to benchmarks/results/fleet.json. Ratios
are what counts: the same work differs by half from one run to the next. Nothing is asserted here.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from . import fleet_tables
from .arms import PHASES
from .costs import Costs
from .machine import Report, last, origin, publish
from .records import Record, measured
from .stage import Stage, opened, say

PODS = 3
"""Of one instance at most: two, and a new one before an old one goes."""


async def played(stage: Stage, size: int, number: int) -> AsyncIterator[Record]:
    """One round: each phase by both arms, one after the other; who is first changes from round to round."""
    order = ("ours", "bare") if number % 2 == 0 else ("bare", "ours")
    names = {arm: [f"{arm}-{size}-{stage.present}-{number}-{index}" for index in range(size)] for arm in order}
    for phase in PHASES:
        for arm in order:
            yield await measured(stage, arm, phase, names[arm], number)
    for arm in order:
        await stage.arms[arm].phase("purge", names[arm])


async def measure(arguments: argparse.Namespace, report: Report) -> list[Record]:
    """All figures of one run; what was measured is written after each round."""
    found: list[Record] = []
    async with opened(on_disk=arguments.on_disk) as stage:
        report.parts = await stage.versions()
        await stage.make_room(max(arguments.present) + 2 * PODS * max(arguments.sizes))
        for others in sorted(set(arguments.present)):
            await stage.fill(others)
            for number in range(arguments.rounds):
                for size in sorted(set(arguments.sizes)):
                    async for record in played(stage, size, number):
                        found.append(record)
                        _say(record)
                    report.leave(_figures(arguments, found))
    return found


def _figures(arguments: argparse.Namespace, records: list[Record]) -> dict[str, Any]:
    return {"temporal on disk": arguments.on_disk, "records": [asdict(record) for record in records]}


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
    parser.add_argument("--on-disk", action="store_true", help="keep Temporal's state on disk")
    parser.add_argument("--last", action="store_true", help="measure nothing, and show the last run's tables")
    parser.add_argument("--publish", action="store_true", help="put the tables into docs/performance.md")
    arguments = parser.parse_args()
    if arguments.last:
        told = last("fleet", "make bench")
    else:
        report = Report("fleet")
        told = report.leave(_figures(arguments, asyncio.run(measure(arguments, report))))
    where = "on disk" if told["temporal on disk"] else "in memory"
    records = [Record(**{**each, "costs": Costs(**each["costs"])}) for each in told["records"]]
    lines = [f"{origin(told)} Temporal's state is {where}.", "", *fleet_tables.report(records)]
    print("\n".join(lines))
    if arguments.publish:
        publish("fleet", lines)


if __name__ == "__main__":
    main()
