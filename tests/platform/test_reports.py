"""On real parts: what is reported is neither lost nor counted twice, whoever dies and whatever answer is lost."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from proxy import Fault, Proxy

from innkeeper.client import BadInput, Innkeeper, Unreachable, UsageReport
from innkeeper.embedded.options import Addresses
from innkeeper.model.usage import HOUR, hour_of

REPORTS = 300

REPORTER = f"""\
import asyncio, random, sys
from datetime import datetime
from innkeeper.client import Innkeeper, UsageReport
name, at, seed = sys.argv[1], datetime.fromisoformat(sys.argv[2]), int(sys.argv[3])
async def main():
    innkeeper = await Innkeeper.connect()
    chance = random.Random(seed)
    numbers = list(range({REPORTS}))
    chance.shuffle(numbers)
    while numbers:
        size = chance.randint(1, 20)
        batch, numbers = numbers[:size], numbers[size:]
        await innkeeper.record_usage_batch(
            UsageReport.of(name, "api_calls", number, key=f"{{name}}/{{number}}", at=at) for number in batch
        )
asyncio.run(main())
"""
"""Reports all of the same, in batches and an order of its own."""


@pytest.fixture
async def name(innkeeper: Innkeeper) -> str:
    """An instance that runs."""
    name = f"reported-{secrets.token_hex(4)}"
    await (await innkeeper.provision(name, tenant="t1", plan="starter")).result()
    return name


async def total(innkeeper: Innkeeper, name: str) -> Decimal:
    found = [figure async for figure in innkeeper.usage_all(name) if figure.metric == "api_calls"]
    return sum((figure.quantity for figure in found), Decimal(0))


async def reporter(
    environment: Mapping[str, str], folder: Path, name: str, at: datetime, seed: int
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        REPORTER,
        name,
        at.isoformat(),
        str(seed),
        cwd=folder,
        env=environment,
        start_new_session=True,
    )


async def test_reporters_that_are_killed_in_the_midst_and_come_again_count_each_report_once(
    innkeeper: Innkeeper, platform_env: Mapping[str, str], tmp_path: Path, name: str
) -> None:
    at = datetime.now(UTC)

    async def insist(seed: int) -> None:
        for attempt in range(3):
            child = await reporter(platform_env, tmp_path, name, at, seed)
            try:
                # Its interpreter needs a second or more until it reports.
                async with asyncio.timeout(None if attempt == 2 else 1.5 + (seed + attempt) * 0.7):
                    assert await child.wait() == 0
                    return
            except TimeoutError:
                child.kill()
                await child.wait()

    await asyncio.gather(*(insist(seed) for seed in range(3)))
    assert await total(innkeeper, name) == sum(range(REPORTS))


async def test_a_report_whose_answer_was_lost_is_made_again_with_its_key(
    innkeeper: Innkeeper, addresses: Addresses, name: str
) -> None:
    at = datetime.now(UTC)
    async with Proxy.to(addresses.supabase_url) as proxy:
        through = await Innkeeper.connect(
            addresses.temporal_address,
            supabase_url=f"http://{proxy.address}",
            supabase_key=addresses.supabase_service_key,
        )
        async with through:
            for number in range(5):
                proxy.fault = Fault.CUT_ANSWER
                with pytest.raises(Unreachable):
                    await through.record_usage(name, "api_calls", 2, key=f"{name}/{number}", at=at)
                proxy.fault = Fault.NONE
                assert not await through.record_usage(name, "api_calls", 2, key=f"{name}/{number}", at=at)
            with pytest.raises(BadInput, match="other content"):
                await through.record_usage(name, "api_calls", 3, key=f"{name}/0", at=at)
    assert await total(innkeeper, name) == 10


async def test_what_is_reported_late_counts_in_its_hour(innkeeper: Innkeeper, name: str) -> None:
    hour = hour_of(datetime.now(UTC)) - timedelta(hours=30)
    reports = [UsageReport.of(name, "messages", 1, key=f"{name}/{n}", at=hour + n * HOUR / 4) for n in range(8)]
    assert (await innkeeper.record_usage_batch(reports)).recorded == 8
    found = [(each.window_start, each.quantity) async for each in innkeeper.usage_all(name, by="hour")]
    assert found == [(hour, Decimal(4)), (hour + HOUR, Decimal(4))]
