"""What metering costs: instances with 30 days of events each, metered at once, and then once more.

Everything runs as in service (a worker, Temporal, Supabase lite), through the workflow that the schedule starts. Prints
a Markdown table of seconds and database calls, and writes the figures to benchmarks/results/usage.json. Timings are
told here and nowhere asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from innkeeper.activities.expiry import Expiry
from innkeeper.activities.metering import Metering
from innkeeper.benchmarks.machine import Report
from innkeeper.client.desk import TemporalDesk
from innkeeper.embedded.options import Options
from innkeeper.embedded.platform import Platform
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.freeze_rows import SupabaseFreezes
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model.catalog import parse
from innkeeper.model.messages import METERING_WORKFLOW
from innkeeper.model.usage_ports import Hours, Metered
from innkeeper.worker import compose

DAYS = 30
EVENTS = 60
"""Of each instance: started and stopped once a day."""
PLANS = {"plans": {"starter": {"chart": {"path": "room"}, "idle_stop_after": "999d"}}}
QUEUE = "metering"


class Counting(SupabaseDatabase):
    """Counts what is asked of the database."""

    calls = 0

    async def _send(self, query: Any) -> Any:
        self.calls += 1
        return await super()._send(query)


async def fill(database: SupabaseDatabase, instances: int, prefix: str, begun: datetime) -> None:
    """Instances whose events have not been metered."""
    chance = random.Random(7)  # noqa: S311  # figures that can be compared, not secrets
    sizes = {"cpu_millicores": 150, "memory_mib": 192, "storage_mib": 1024}
    for first in range(0, instances, 10):
        names = [f"{prefix}-{number:05}" for number in range(first, min(first + 10, instances))]
        rows = [
            {"name": name, "tenant": f"t{chance.randrange(50)}", "plan": "starter", "namespace": f"inn-{name}"}
            | {"release": name, "status": "running", "settled": "running"}
            for name in names
        ]
        await database._send(database._client.table("instances").insert(rows))  # noqa: SLF001  # nobody else may
        events = [
            {
                "at": (begun + timedelta(days=DAYS) * (number + chance.random()) / EVENTS).isoformat(),
                "instance": row["name"],
                "tenant": row["tenant"],
                "plan": "starter",
                "status": "stopped" if number % 2 else "running",
                "sizes": sizes,
            }
            for row in rows
            for number in range(EVENTS)
        ]
        await database._send(database._client.table("instance_events").insert(events))  # noqa: SLF001  # the same


async def meter(client: Client, database: Counting, again: Hours | None = None) -> dict[str, Any]:
    """One metering, from its start to its end."""
    database.calls, begun = 0, time.perf_counter()
    told: Metered = await client.execute_workflow(
        METERING_WORKFLOW,
        args=[] if again is None else [again],
        id=f"metering-{uuid.uuid4().hex}",
        task_queue=QUEUE,
        result_type=Metered,
    )
    return {"seconds": time.perf_counter() - begun, "calls": database.calls, **told.model_dump()}


async def measure(sizes: list[int]) -> dict[str, Any]:
    """All figures of one run."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-") as folder:
        async with Platform(Options(state_dir=Path(folder), temporal_in_memory=True)) as platform:
            where = platform.addresses
            client = await Client.connect(where.temporal_address, data_converter=pydantic_data_converter)
            async with await Counting.connect(where.supabase_url, where.supabase_service_key) as database:
                meters, plans = SupabaseUsage(database), parse(PLANS, folder="")
                steps: list[Callable[..., Any]] = [
                    Metering(meters).meter,
                    Expiry(meters, database.sharing(SupabaseFreezes), TemporalDesk(client, QUEUE), plans).expire,
                ]
                async with compose(client, steps, task_queue=QUEUE):
                    for instances in sizes:
                        now = datetime.now(UTC)
                        begun = now - timedelta(days=DAYS)
                        await meter(client, database)
                        await fill(database, instances, f"n{instances}", begun)
                        figures[str(instances)] = {
                            "first": await meter(client, database),
                            "five minutes later": await meter(client, database),
                            "all again": await meter(client, database, Hours(since=begun, until=now)),
                        }
    return {
        "days": DAYS,
        "events an instance": EVENTS,
        "instances": figures,
    }


def show(told: dict[str, Any]) -> None:
    """The Markdown table."""
    print(f"{told['days']} days, {told['events an instance']} events an instance\n")
    print("| instances | metering | seconds | database calls | hours written | corrections |")
    print("| --- | --- | --- | --- | --- | --- |")
    for instances, figures in told["instances"].items():
        for what, each in figures.items():
            cells = (instances, what, f"{each['seconds']:.1f}", each["calls"], each["windows"], each["corrections"])
            print(f"| {' | '.join(map(str, cells))} |")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, nargs="+", default=[100, 1000])
    wanted, report = parser.parse_args().instances, Report("usage")
    told = report.leave(asyncio.run(measure(wanted)))
    show(told)


if __name__ == "__main__":
    main()
