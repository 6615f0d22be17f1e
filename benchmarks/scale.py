"""Whether it stays fast and fair with a thousand: each scenario by itself, on platforms of its own.

Each scenario writes its figures, with the machine and its load, to benchmarks/results/scale-NAME.json; printed are the
tables of all that were ever played here. No time is asserted; only a lost request ends this with 1.
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
        report = Report(_file(name))
        report.parts = parts
        report.leave({name: await SCENARIOS[name](chosen)})


def left() -> dict[str, dict[str, Any]]:
    """What the last run of each scenario left, by scenario; those never played are left out."""
    return {name: last(_file(name), f"make bench-scale ARGS={name}") for name in SCENARIOS if was_left(_file(name))}


def _file(scenario: str) -> str:
    return f"scale-{scenario}"


def main() -> int:
    """The command; 1 where a request was lost."""
    parser = argparse.ArgumentParser(prog="make bench-scale ARGS=…", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="which: flat load sick backlog (all)")
    more: dict[str, Any] = {"type": int, "metavar": "N"}
    parser.add_argument("--instances", default=1000, help="others present, and requests of the backlog (1000)", **more)
    parser.add_argument("--at-once", default=50, help="of flat: provisions at once (50)", **more)
    parser.add_argument("--rounds", default=5, help="of flat and sick, in turns (5)", **more)
    parser.add_argument("--last", action="store_true", help="measure nothing, and show the tables of the last runs")
    parser.add_argument("--publish", action="store_true", help="put the tables into docs/performance.md")
    chosen = parser.parse_args()
    if not chosen.last:
        asyncio.run(measure(chosen))
    blocks = scale_tables.blocks(found := left())
    print("\n\n".join("\n".join(lines) for lines in blocks.values()))
    if chosen.publish:
        publish_all(blocks)
    return 1 if any(run["lost"] for run in scale_tables.backlogs(found.get("backlog", {}))) else 0


if __name__ == "__main__":
    sys.exit(main())
