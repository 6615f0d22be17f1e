"""Who is told to come back later comes back later: steps, fast calls and watches wait as long as they are asked to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from storm import Heard, No, Storm

from innkeeper.embedded.options import Addresses
from innkeeper.model.instance import Kind

from .operations import PROVISIONED, Did
from .outage import Part, tls_of
from .rig import Rig, Site, site_of

LATER = 3
"""Seconds that are asked for."""
LASTS = 8.0
"""Seconds for which that is the answer to everything, and until somebody has come back."""
WATCHED = "/api/v1/pods"
WITHIN = "/namespaces/"


@pytest.fixture
async def site(addresses: Addresses, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_of(addresses, tmp_path) as site:
        yield site


@asynccontextmanager
async def stopping(site: Site, name: str, label: str) -> AsyncIterator[tuple[Rig, asyncio.Task[object]]]:
    """A stop that is held just before a write."""
    async with site.rig(name) as rig:
        await rig.do(PROVISIONED)
        rig.signpost.wait_for(label)
        asked = asyncio.create_task(rig.ask(rig.request(Did(Kind.STOP))))
        await rig.signpost.reached.wait()
        yield rig, asked


async def told_to_wait(rig: Rig, part: Part, storm: Storm, times: Mapping[str, int]) -> None:
    """Let the storm answer for a part for some seconds, and until it was asked so many times for each of the paths."""
    proxy = rig.proxies[part]
    here, proxy.far = proxy.far, storm.place
    proxy.reset()
    rig.signpost.go_on()
    await asyncio.sleep(LASTS)
    async with asyncio.timeout(60):
        while any(len(asked_for(storm, path)) < wanted for path, wanted in times.items()):
            await asyncio.sleep(0.1)
    proxy.far = here
    proxy.reset()


def asked_for(storm: Storm, path: str) -> list[Heard]:
    """What was asked for whose path has this in it."""
    return [each for each in storm.heard if path in each.path]


def gaps(heard: list[Heard]) -> list[float]:
    """Seconds between one request and the next."""
    return [later.at - earlier.at for earlier, later in pairwise(heard)]


async def test_a_step_and_the_watches_come_back_to_the_api_server_when_they_are_told_to(
    addresses: Addresses, site: Site
) -> None:
    async with (
        Storm((No(429, str(LATER)),), tls=tls_of(addresses)) as storm,
        stopping(site, "later-step", "patch Deployment") as (rig, asked),
    ):
        await told_to_wait(rig, Part.API_SERVER, storm, {WATCHED: 1, WITHIN: 2})
        await asyncio.wait_for(asked, 120)
    watches = [each for each in storm.heard if each.path == WATCHED]
    calls = asked_for(storm, WITHIN)
    assert watches
    assert len(calls) >= 2
    assert min(gaps(watches), default=LATER) >= LATER
    assert min(gaps(calls)) >= LATER


@pytest.mark.parametrize("status", [429, 503])
async def test_a_fast_call_comes_back_to_the_database_when_it_is_told_to(site: Site, status: int) -> None:
    async with Storm((No(status, str(LATER)),)) as storm, stopping(site, f"later-{status}", "finish") as (rig, asked):
        await told_to_wait(rig, Part.SUPABASE, storm, {"/": 2})
        await asyncio.wait_for(asked, 120)
    assert len(storm.heard) >= 2
    assert min(gaps(storm.heard)) >= LATER
