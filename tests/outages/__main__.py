"""`make outages`: plays the table of outages on a platform of its own and prints what came of it.

Ends with 1 where a world is wrong. A cell that went wrong is played again by its name:

    make outages ARGS='provision/api-server/refused/middle/20'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from innkeeper.embedded.options import Options
from innkeeper.embedded.platform import Platform
from innkeeper.leaving import leave

from .cells import Cell, Verdict, named, play_all, table
from .operations import OPERATIONS, Moment
from .outage import Part, Way
from .rig import site_of


def main() -> int:
    """The command; the exit code is 1 where a world is wrong."""
    chosen = _arguments()
    cells = [named(name) for name in chosen.cells] or table(
        operations=chosen.operation or OPERATIONS,
        parts=chosen.part or Part,
        ways=chosen.way or Way,
        moments=chosen.moment,
        seconds=chosen.seconds,
    )
    # What workers and Temporal's client say of an outage is what is meant to happen.
    logging.getLogger().setLevel(logging.CRITICAL)
    quiet = LoggingConfig(filter=TelemetryFilter(core_level="OFF", other_level="OFF"))
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=quiet)))
    print(f"{len(cells)} cells, {chosen.at_once} at a time", flush=True)
    begun = time.monotonic()
    verdicts = asyncio.run(_played(cells, chosen.at_once))
    told = summary(verdicts, time.monotonic() - begun)
    print(told)
    if chosen.report:
        _write(chosen.report, verdicts, told)
    return 1 if any(verdict.wrong for verdict in verdicts) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make outages", description=__doc__)
    parser.add_argument("cells", nargs="*", help="play these, by name, in place of the table")
    parser.add_argument("--operation", action="append", choices=OPERATIONS)
    parser.add_argument("--part", action="append", type=Part, choices=list(Part))
    parser.add_argument("--way", action="append", type=Way, choices=list(Way))
    parser.add_argument("--moment", action="append", type=Moment, choices=list(Moment), default=[])
    parser.add_argument("--seconds", nargs="+", type=float, default=(5.0, 20.0, 60.0, 120.0))
    parser.add_argument("--at-once", type=int, default=6 * (os.cpu_count() or 1), metavar="N")
    parser.add_argument("--report", type=Path, help="a file for the verdicts: .json, else Markdown")
    return parser.parse_args()


async def _played(cells: Sequence[Cell], at_once: int) -> list[Verdict]:
    with tempfile.TemporaryDirectory(prefix="innkeeper-outages-") as folder:
        options = Options(state_dir=Path(folder) / "platform", temporal_in_memory=True)
        async with Platform(options) as platform, site_of(platform.addresses, Path(folder)) as site:
            return await play_all(site, cells, at_once=at_once, told=_tell)


def _tell(verdict: Verdict) -> None:
    print(f"{verdict.cell}: {verdict.wrong or f'right, {verdict.late:+.1f} s'}", flush=True)


def summary(verdicts: Sequence[Verdict], took: float) -> str:
    """The table in Markdown, a line for each outage over all operations, and what went wrong."""
    rows: dict[tuple[object, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        rows[verdict.cell[1:]].append(verdict)
    lines = [
        "",
        "| part | outage | begins | s | operations | wrong | s from its end to theirs: median | longest |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (part, way, moment, seconds), found in rows.items():
        late = [verdict.late for verdict in found]
        wrong = sum(bool(verdict.wrong) for verdict in found)
        lines.append(
            f"| {part} | {way} | {moment} | {seconds:g} | {len(found)} | {wrong} "
            f"| {statistics.median(late):+.1f} | {max(late):+.1f} |"
        )
    wrongs = [verdict for verdict in verdicts if verdict.wrong]
    lines += ["", f"{len(verdicts)} cells, {len(wrongs)} wrong worlds, {took / 60:.0f} min"]
    lines += [f"- `{verdict.cell}`: {verdict.wrong}" for verdict in wrongs]
    return "\n".join(lines)


def _write(path: Path, verdicts: Sequence[Verdict], told: str) -> None:
    if path.suffix == ".json":
        cells = [{"cell": str(each.cell), "wrong": each.wrong, "late": round(each.late, 2)} for each in verdicts]
        path.write_text(json.dumps(cells, indent=1) + "\n")
    else:
        path.write_text(told + "\n")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    leave(main())
