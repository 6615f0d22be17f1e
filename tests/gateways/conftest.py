"""The gateways under contract: each in memory, and on the real part."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from helm_stage import CHARTS, InMemory, OnKubernetes, Stage, Wish
from supabase_lite import SupabaseLite

from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model.catalog import ChartRef
from innkeeper.model.ports import Cluster, Database, Helm, Ref, Release
from innkeeper.model.usage_ports import Meters

MOMENTS = 20.0
"""Seconds in which a test of usage is over."""


@pytest.fixture
async def within_an_hour() -> None:
    """What a test does is done within one hour, and one day: the last moments of an hour are waited out."""
    left = 3600 - time.time() % 3600
    if left < MOMENTS:
        await asyncio.sleep(left)


@pytest.fixture(params=["memory", "supabase"])
def backing(request: pytest.FixtureRequest) -> SupabaseLite | None:
    """What the database stands on; None for memory."""
    found: SupabaseLite | None = request.getfixturevalue("lite") if request.param == "supabase" else None
    return found


@pytest.fixture
async def database(backing: SupabaseLite | None) -> AsyncIterator[Database]:
    """A database; tests take names and tenants of their own."""
    if backing is None:
        yield MemoryDatabase()
        return
    async with await SupabaseDatabase.connect(backing.url, backing.secret_key) as connected:
        yield connected


@pytest.fixture
def meters(database: Database) -> Meters:
    """The meters over the same database."""
    if isinstance(database, MemoryDatabase):
        return MemoryUsage(database)
    assert isinstance(database, SupabaseDatabase)
    return SupabaseUsage(database)


@pytest.fixture
def usage(meters: Meters) -> MemoryUsage | SupabaseUsage:
    """The same, as what it is."""
    assert isinstance(meters, MemoryUsage | SupabaseUsage)
    return meters


@pytest.fixture
def desk(database: Database) -> Desk:
    """Requests of a tenant of their own."""
    return Desk(database)


@pytest.fixture(params=["memory", "helm", "resident"])
def kind_of_helm(request: pytest.FixtureRequest) -> str:
    """In memory, a process for each call, or processes that stay."""
    kind: str = request.param
    return kind


@pytest.fixture
def standing_on(request: pytest.FixtureRequest, kind_of_helm: str) -> Addresses | None:
    """What Helm stands on; None for memory."""
    found: Addresses | None = None if kind_of_helm == "memory" else request.getfixturevalue("addresses")
    return found


@pytest.fixture
def binary(request: pytest.FixtureRequest, kind_of_helm: str) -> Path | None:
    """Which Helm, where it is not the one that is found."""
    found: Path | None = request.getfixturevalue("resident_helm") if kind_of_helm == "resident" else None
    return found


@pytest.fixture
async def stage(standing_on: Addresses | None, binary: Path | None) -> AsyncIterator[Stage]:
    """Helm's contract's stage, in memory or real."""
    if standing_on is None:
        yield InMemory()
        return
    async with await KubernetesCluster.connect(standing_on.kubeconfig, standing_on.context) as cluster:
        stage = OnKubernetes(cluster, standing_on, binary)
        yield stage
        await stage.helm.aclose()


@pytest.fixture
def helm(stage: Stage) -> Helm:
    return stage.helm


@pytest.fixture
def cluster(stage: Stage) -> Cluster:
    return stage.cluster


@pytest.fixture
async def namespace(cluster: Cluster) -> AsyncIterator[str]:
    name = f"inn-{secrets.token_hex(4)}"
    made = await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await cluster.delete(Ref.to(made), uid=made["metadata"]["uid"])


@pytest.fixture
def wish(namespace: str) -> Wish:
    """What is wanted of the release, by a chart's name and a mark."""

    def wanted(chart: str = "room", mark: str = "m1", **more: Any) -> Release:
        values = more.pop("values", {})
        chart_ref = ChartRef(path=str(CHARTS / chart))
        return Release(name="acme", namespace=namespace, chart=chart_ref, values=values, mark=mark, **more)

    return wanted
