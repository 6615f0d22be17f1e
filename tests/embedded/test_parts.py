"""Parts that keep what they were given: Supabase its rows through new migrations, the worker its place."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from innkeeper.embedded import builds
from innkeeper.embedded.errors import PartDied
from innkeeper.embedded.options import Addresses
from innkeeper.embedded.ports import Ports
from innkeeper.embedded.supabase import Supabase
from innkeeper.embedded.worker import WorkerProcess

CATALOG = Path(__file__).parent.parent / "data" / "catalog.yaml"


async def read(supabase: Supabase, table: str) -> httpx.Response:
    headers = {"apikey": supabase.keys.secret, "Authorization": f"Bearer {supabase.keys.secret}"}
    async with httpx.AsyncClient(headers=headers) as http:
        return await http.get(f"{supabase.url}/rest/v1/{table}")


async def test_a_new_migration_is_applied_at_the_next_start_and_rows_stay(tmp_path: Path) -> None:
    migrations, logs = tmp_path / "migrations", tmp_path / "logs"
    migrations.mkdir()
    logs.mkdir()
    first = "create table instances (name text); insert into instances values ('acme');"
    (migrations / "20260101000000_first.sql").write_text(first)
    node = await builds.ensure_node(None, print)
    lite = await builds.ensure_lite(node, print)
    ports = Ports(tmp_path / "ports.json")

    def part() -> Supabase:
        return Supabase(tmp_path / "supabase", logs, ports, node, lite, migrations=migrations)

    supabase = part()
    await supabase.start()
    keys, url = supabase.keys, supabase.url
    assert (await read(supabase, "instances")).json() == [{"name": "acme"}]
    await supabase.kill()

    (migrations / "20260102000000_broken.sql").write_text("create nonsense;")
    with pytest.raises(PartDied, match="supabase-migrations ended with exit code"):
        await part().start()
    (migrations / "20260102000000_broken.sql").unlink()
    (migrations / "20260102000000_second.sql").write_text("create table plans (name text);")
    supabase = part()
    await supabase.start()
    assert (supabase.keys, supabase.url) == (keys, url)
    assert (await read(supabase, "instances")).json() == [{"name": "acme"}]
    assert (await read(supabase, "plans")).json() == []
    assert keys.secret in supabase.log("supabase").read_text(), "Supabase lite prints its keys"
    assert keys.secret not in "".join(f"{child.tail(100)}" for child in supabase._children)
    await supabase.stop()


async def test_a_worker_that_dies_is_reported_and_started_again(addresses: Addresses, tmp_path: Path) -> None:
    reports: list[str] = []
    quiet = {f"INNKEEPER_{what}_EVERY": "0" for what in ("SWEEP", "METER", "RECONCILE")}
    environment = {**addresses.environment(), "INNKEEPER_CATALOG": str(CATALOG), **quiet}
    worker = WorkerProcess(tmp_path, addresses.temporal_address, "default", environment, reports.append)
    await worker.start()
    first = worker.pids["worker"]
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(60):
        while worker.pids.get("worker", first) == first:
            await asyncio.sleep(0.05)
    assert "worker was killed by signal 9" in reports[0]
    assert "starts again in 0.5 s" in reports[0]
    await worker.stop()
    assert worker.pids == {}
    assert len(reports) == 1, "a stop is no death"


async def test_a_worker_that_refuses_to_start_says_why(addresses: Addresses, tmp_path: Path) -> None:
    environment = {**addresses.environment(), "INNKEEPER_CATALOG": str(tmp_path / "missing.yaml")}
    worker = WorkerProcess(tmp_path, addresses.temporal_address, "default", environment, print)
    with pytest.raises(PartDied, match=r"worker ended with exit code(.|\n)*missing\.yaml"):
        await worker.start()
    assert worker.pids == {}
