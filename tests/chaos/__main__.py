"""The crash matrix on the platform: `make chaos`.

For every effect of every operation: the worker is killed before it and after it, its answer is lost, it is not
reachable, it is not allowed. Then the world is compared with what a model says it must be. Exits with 1 where any world
is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from in_memory import time_skipping
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from innkeeper.embedded.options import Options
from innkeeper.embedded.platform import Platform
from innkeeper.leaving import leave
from innkeeper.settings import Settings
from innkeeper.worker import settle_in

from .cells import Cell, cells_of, named
from .effects import Fault
from .gateways import opened
from .memory_stage import MemoryStage
from .platform_stage import PlatformStage, catalog
from .report import Report
from .runner import play_all, record
from .scenarios import SCENARIOS


def say(line: str) -> None:
    """One line for whoever waits."""
    print(line, flush=True)  # the program's output


def chosen(arguments: argparse.Namespace, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that were asked for.

    Raises:
        ValueError: one is named that there is not.
    """
    if arguments.cell:
        return [cell for name in arguments.cell for cell in named(cells, name)]
    found = [cell for cell in cells if not arguments.faults or cell.fault.value in arguments.faults.split(",")]
    if arguments.sample:
        dice = random.Random(arguments.seed)  # noqa: S311  # to be the same again
        found = dice.sample(found, min(arguments.sample, len(found)))
    return found


def operations(arguments: argparse.Namespace) -> list[str]:
    """The operations that have to be seen."""
    if arguments.cell:
        return sorted({name.partition("/")[0] for name in arguments.cell})
    return arguments.operations.split(",") if arguments.operations else list(SCENARIOS)


@asynccontextmanager
async def in_memory(folder: Path, seed: int) -> AsyncIterator[MemoryStage]:  # a stage like the other
    """A stage in memory, with Temporal's own server."""
    async with time_skipping() as environment:
        stage = MemoryStage(environment)
        yield stage
        await stage.aclose()


@asynccontextmanager
async def on_the_platform(folder: Path, seed: int) -> AsyncIterator[PlatformStage]:
    """A stage on a platform of its own."""
    plans = folder / "catalog.yaml"
    plans.write_text(catalog())
    say("starting a platform ...")
    async with Platform(Options(state_dir=folder / "platform", temporal_in_memory=True), progress=say) as platform:
        where = platform.addresses
        settings = Settings.load(
            temporal_address=where.temporal_address,
            supabase_url=where.supabase_url,
            supabase_key=where.supabase_service_key,
            kubeconfig=where.kubeconfig,
            kube_context=where.context,
            catalog=plans,
        )
        async with opened(settings) as parts:
            await settle_in(parts.cluster, settings.operator_namespace)
            yield PlatformStage(parts, where, plans, folder, seed)


async def run(arguments: argparse.Namespace, folder: Path) -> Report | None:
    """Play what was asked for; None where cells were only to be listed."""
    begun = time.monotonic()
    opening = in_memory if arguments.in_memory else on_the_platform
    async with opening(folder, arguments.seed) as stage:
        seen = operations(arguments)
        say(f"looking at {len(seen)} operations without a fault ...")
        # In memory Helm's own writes are counted one by one: there is no need to kill it anywhere in between.
        whole = cells_of(await record(stage, seen, "recording"), within=not arguments.in_memory)
        cells = chosen(arguments, whole)
        if arguments.list:
            for cell in cells:
                say(str(cell))
            return None
        say(f"{len(cells)} cells, {arguments.size} on a worker, {arguments.shards} workers at once ...")
        verdicts = await play_all(
            stage, cells, seed=arguments.seed, size=arguments.size, at_once=arguments.shards, tell=say
        )
    where = "in memory" if arguments.in_memory else "on the platform"
    return Report(where, arguments.seed, time.monotonic() - begun, len(whole), verdicts)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="make chaos", description=__doc__.partition("\n")[0])
    made.add_argument("--seed", type=int, default=1, help="of the order of the cells, and of when Helm is killed")
    made.add_argument("--cell", action="append", help="play this one, e.g. 'stop/3 cluster.patch/killed-after'")
    made.add_argument("--operations", help=f"only these, of {', '.join(SCENARIOS)}")
    made.add_argument("--faults", help=f"only these, of {', '.join(fault for fault in Fault)}")
    made.add_argument("--sample", type=int, help="only so many cells, chosen by the seed")
    made.add_argument("--in-memory", action="store_true", help="over gateways in memory: Helm is killed at each write")
    made.add_argument("--shards", type=int, default=4, help="workers under test at once")
    made.add_argument("--size", type=int, default=20, help="cells on one worker")
    made.add_argument("--out", type=Path, help="a folder for matrix.md and matrix.json")
    made.add_argument("--list", action="store_true", help="name the cells and play none")
    return made


def main() -> int:
    """The program; 1 where a world is wrong, 2 where a cell is unknown."""
    arguments = parser().parse_args()
    # What workers and Temporal's client say of a death is what is meant to happen.
    logging.getLogger().setLevel(logging.CRITICAL)
    quiet = LoggingConfig(filter=TelemetryFilter(core_level="OFF", other_level="OFF"))
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=quiet)))
    with tempfile.TemporaryDirectory(prefix="innkeeper-chaos-") as folder:
        try:
            report = asyncio.run(run(arguments, Path(folder)))
        except ValueError as error:
            say(f"make chaos: {error}")
            return 2
    if report is None:
        return 0
    say(report.markdown())
    if arguments.out:
        report.write(arguments.out)
    say(report.size())
    for verdict in report.wrong:
        say(f"WRONG {verdict.cell}")
        again = f"--seed {report.seed}{' --in-memory' if arguments.in_memory else ''} --cell '{verdict.cell}'"
        say(f'  again: make chaos ARGS="{again}"')
    return 1 if report.wrong else 0


if __name__ == "__main__":
    leave(main())
