"""What many instances cost at once, beside bare Helm doing the same: each round plays both, in turns, on one platform.

Prints Markdown tables and writes all figures, with the machine and its load, to benchmarks/results/fleet.json. Ratios
are what counts: the same work differs by half from one run to the next. Nothing is asserted here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform as machine
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ..client import Innkeeper, OperationHandle
from ..embedded.options import Addresses, Options
from ..embedded.platform import Platform
from ..embedded.worker import WorkerProcess
from ..gateways.kubernetes import KubernetesCluster
from ..settings import load_catalog
from .bare import Bare
from .costs import Costs, Meter, Relay, memory_of

CATALOG = Path(__file__).resolve().parent / "catalog.yaml"
RESULTS = Path(__file__).resolve().parent / "results" / "fleet.json"
PHASES = ("provision", "upgrade", "stop", "start", "restart", "uninstall")
COLUMNS = (
    *("", "ours, s", "bare, s", "ratio", "CPU s, ours / bare", "API requests each, ours / bare"),
    *("database calls each", "events", "worker, MiB"),
)
LOOKED_AT = 5
"""Operations of each phase whose history is read."""


class Arm(Protocol):
    """Who does the work."""

    async def phase(self, phase: str, names: Sequence[str]) -> list[OperationHandle]:
        """Do one thing to all instances at once, to its end; the operations, where there are any."""
        ...


class Ours:
    """By Innkeeper, as a backend asks for it."""

    def __init__(self, innkeeper: Innkeeper) -> None:
        self._innkeeper = innkeeper

    async def phase(self, phase: str, names: Sequence[str]) -> list[OperationHandle]:
        """Ask for all at once, and wait for each."""
        more: dict[str, Any] = {}
        if phase in ("provision", "upgrade"):
            more["plan"] = "bench" if phase == "provision" else "bench-more"
        if phase == "provision":
            more["tenant"] = "bench"
        ask = getattr(self._innkeeper, phase)

        async def one(name: str) -> OperationHandle:
            handle: OperationHandle = await ask(name, **more)
            await handle.result()
            return handle

        return list(await asyncio.gather(*(one(name) for name in names)))


class ByHand:
    """By bare Helm and API calls."""

    def __init__(self, bare: Bare) -> None:
        self._bare = bare

    async def phase(self, phase: str, names: Sequence[str]) -> list[OperationHandle]:
        """As many at once as there are; Helm's own number is limited."""
        await asyncio.gather(*(getattr(self._bare, phase)(name) for name in names))
        return []


@dataclass
class Record:
    """One phase of one round of one arm."""

    arm: str
    phase: str
    size: int
    present: int
    """Other instances that ran meanwhile."""
    round: int
    costs: Costs
    worker_mib: float
    events: list[int] = field(default_factory=list)
    """History events of some of the operations."""
    parts: dict[str, float] = field(default_factory=dict)
    """Median seconds of these operations by what they were spent on."""
    steps: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each step of these operations."""


@dataclass
class Bench:
    """A platform with both arms on it."""

    arms: dict[str, Arm]
    meter: Meter
    worker: WorkerProcess

    async def measured(self, arm: str, phase: str, names: Sequence[str], present: int, number: int) -> Record:
        """One phase, and what it cost."""
        before = await self.meter.read()
        handles = await self.arms[arm].phase(phase, names)
        costs = (await self.meter.read()).since(before)
        record = Record(arm, phase, len(names), present, number, costs, memory_of(self.worker.pids["worker"]))
        told = [await handle.timeline() for handle in handles[:LOOKED_AT]]
        record.events = [each.events for each in told]
        if told:
            parts = {part for each in told for part in each.totals}
            record.parts = {part: statistics.median(each.totals[part] for each in told) for part in parts}
            for span in (span for each in told for span in each.spans if span.step):
                record.steps.setdefault(f"{span.part} {span.step}", []).append(span.seconds)
        return record

    async def round(self, size: int, present: int, number: int) -> AsyncIterator[Record]:
        """All phases of both arms; who is first changes from round to round."""
        order = ("ours", "bare") if number % 2 == 0 else ("bare", "ours")
        for arm in order:
            names = [f"{arm[0]}{size}-{present}-{number}-{index}" for index in range(size)]
            for phase in PHASES:
                yield await self.measured(arm, phase, names, present, number)
            await self.arms[arm].phase("purge", names)


@contextlib.asynccontextmanager
async def opened(*, on_disk: bool) -> AsyncIterator[Bench]:
    """A platform of its own, with a worker whose calls of the database are counted."""
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-") as folder:
        options = Options(state_dir=Path(folder), temporal_in_memory=not on_disk)
        async with Platform(options) as platform, contextlib.AsyncExitStack() as stack:
            where = platform.addresses
            target = urlsplit(where.supabase_url)
            relay = Relay(target.hostname or "", target.port or 80)
            port = await relay.start()
            stack.push_async_callback(relay.close)
            worker = await _worker(platform, where, f"http://127.0.0.1:{port}")
            stack.push_async_callback(worker.stop)
            innkeeper = await Innkeeper.connect(where.temporal_address)
            cluster = await stack.enter_async_context(await KubernetesCluster.connect(where.kubeconfig, where.context))
            assert where.kubeconfig is not None
            assert where.context is not None
            bare = Bare(cluster, load_catalog(CATALOG), where.kubeconfig, where.context)
            meter = Meter(where.kubeconfig, relay, {**platform.pids, **worker.pids})
            yield Bench({"ours": Ours(innkeeper), "bare": ByHand(bare)}, meter, worker)


async def _worker(platform: Platform, where: Addresses, supabase: str) -> WorkerProcess:
    environment = {
        **where.environment(),
        "INNKEEPER_SUPABASE_URL": supabase,
        "INNKEEPER_CATALOG": str(CATALOG),
    }
    worker = WorkerProcess(platform.logs, where.temporal_address, where.temporal_namespace, environment, print)
    await worker.start()
    return worker


async def measure(arguments: argparse.Namespace) -> list[Record]:
    """All figures of one run."""
    found: list[Record] = []
    async with opened(on_disk=arguments.on_disk) as bench:
        present = 0
        for others in sorted(arguments.present):
            more = [f"present-{index}" for index in range(present, others)]
            for begin in range(0, len(more), 100):
                await bench.arms["ours"].phase("provision", more[begin : begin + 100])
            present = others
            for number in range(arguments.rounds):
                for size in arguments.sizes:
                    async for record in bench.round(size, present, number):
                        found.append(record)
                        _say(record)
    return found


def _say(record: Record) -> None:
    told = f"{record.arm:5} {record.phase:10} {record.size:5} × {record.costs.seconds:7.2f} s"
    print(f"{time.strftime('%H:%M:%S')} round {record.round} present {record.present:4} {told}", flush=True)


def table(records: Sequence[Record], size: int, present: int) -> list[str]:
    """The Markdown table of one size: medians over the rounds, and the median of the rounds' ratios."""
    here = [record for record in records if (record.size, record.present) == (size, present)]
    lines = [
        f"\n{size} at once, {present} others present, {1 + max(each.round for each in here)} rounds\n",
        f"| {' | '.join(COLUMNS)} |",
        f"| {' | '.join('---' for _ in COLUMNS)} |",
    ]
    for phase in PHASES:
        ours = [record for record in here if (record.arm, record.phase) == ("ours", phase)]
        bare = [record for record in here if (record.arm, record.phase) == ("bare", phase)]
        ratios = [one.costs.seconds / other.costs.seconds for one in ours for other in bare if one.round == other.round]
        events = max((count for record in ours for count in record.events), default=0)
        lines.append(
            f"| {phase} | {_median(ours, 'seconds'):.2f} | {_median(bare, 'seconds'):.2f} | "
            f"{statistics.median(ratios):.2f} | {_cpu(ours):.1f} / {_cpu(bare):.1f} | "
            f"{_requests(ours) / size:.0f} / {_requests(bare) / size:.0f} | {_median(ours, 'calls') / size:.1f} | "
            f"{events} | {max(record.worker_mib for record in ours):.0f} |"
        )
    return lines


def _median(records: Sequence[Record], figure: str) -> float:
    return float(statistics.median(getattr(record.costs, figure) for record in records))


def _cpu(records: Sequence[Record]) -> float:
    return float(statistics.median(sum(record.costs.cpu.values()) for record in records))


def _requests(records: Sequence[Record]) -> float:
    return float(statistics.median(sum(record.costs.requests.values()) for record in records))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=_numbers, default=[1, 10, 100], help="instances at once, e.g. 10,100")
    parser.add_argument("--present", type=_numbers, default=[0], help="others that run meanwhile, e.g. 0,300")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--on-disk", action="store_true", help="keep Temporal's state on disk")
    arguments = parser.parse_args()
    before = os.getloadavg()[0]
    records = asyncio.run(measure(arguments))
    told = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": machine.platform(), "python": sys.version.split()[0]},
        "load before and after": [before, os.getloadavg()[0]],
        "temporal on disk": arguments.on_disk,
        "records": [asdict(record) for record in records],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    for present in sorted(arguments.present):
        for size in arguments.sizes:
            print("\n".join(table(records, size, present)))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
