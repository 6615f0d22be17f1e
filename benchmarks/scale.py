"""Whether it stays fast and fair with a thousand: each scenario by itself, on platforms of its own.

Each scenario writes its figures, with the machine and its load, to benchmarks/results/scale-NAME.json, and where it is
played with another number than 1,000, to scale-NAME-of-NUMBER.json. Printed are the tables of all that were ever played
here with that number. No time is asserted; only a request that this run lost ends it with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from . import crowd, rush, scale_tables
from .machine import Report, last, publish_all, was_left
from .stage import opened

MANY = 1000
"""Instances that the published figures are of."""

SCENARIOS: dict[str, Callable[[argparse.Namespace], Awaitable[dict[str, Any]]]] = {
    "flat": lambda chosen: crowd.flat(chosen.instances, min(chosen.at_once, chosen.instances), chosen.rounds),
    "load": lambda chosen: crowd.load(chosen.instances, max(1, min(300, chosen.instances * 3 // 10))),
    "sick": lambda chosen: rush.sick(min(150, chosen.instances), chosen.rounds),
    "backlog": lambda chosen: rush.backlog(chosen.instances),
}


async def measure(chosen: argparse.Namespace) -> None:
    """Play the scenarios; each leaves its figures before the next begins."""
    async with opened() as stage:
        parts = await stage.versions()
    for name in chosen.scenarios or SCENARIOS:
        print(f"\n{name}", flush=True)
        report = Report(_file(name, chosen.instances))
        report.parts = parts
        report.leave({name: await SCENARIOS[name](chosen)})


def left(instances: int) -> dict[str, dict[str, Any]]:
    """What the last run of each scenario with so many left, by scenario; those never played are left out."""
    files = {name: _file(name, instances) for name in SCENARIOS}
    return {name: last(file, f"make bench-scale ARGS={name}") for name, file in files.items() if was_left(file)}


def _file(scenario: str, instances: int) -> str:
    """A trial with a few must not pass for what is published of a thousand, nor replace it."""
    return f"scale-{scenario}" + (f"-of-{instances}" if instances != MANY else "")


def main() -> int:
    """The command; 1 where a request was lost."""
    parser = argparse.ArgumentParser(prog="make bench-scale ARGS=…", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="which: flat load sick backlog (all)")
    more: dict[str, Any] = {"type": int, "metavar": "N"}
    parser.add_argument("--instances", default=MANY, help="others present, and requests of the backlog (1000)", **more)
    parser.add_argument("--at-once", default=50, help="of flat: provisions at once (50)", **more)
    parser.add_argument("--rounds", default=5, help="of flat and sick, in turns (5)", **more)
    parser.add_argument("--last", action="store_true", help="measure nothing, and show the tables of the last runs")
    parser.add_argument("--publish", action="store_true", help="put the tables into docs/performance.md")
    chosen = parser.parse_args()
    if chosen.publish and chosen.instances != MANY:
        parser.error(f"--instances {chosen.instances}: what --publish puts on the page is of {MANY}")
    if not chosen.last:
        asyncio.run(measure(chosen))
    blocks = scale_tables.blocks(found := left(chosen.instances))
    print("\n\n".join("\n".join(lines) for lines in blocks.values()))
    if chosen.publish:
        publish_all(blocks)
    played = not chosen.last and "backlog" in (chosen.scenarios or SCENARIOS)
    return 1 if played and any(run["lost"] for run in scale_tables.backlogs(found["backlog"])) else 0


if __name__ == "__main__":
    sys.exit(main())
