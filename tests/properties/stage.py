"""The world in memory that sequences are played on, one after the other, each with instances of its own."""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from in_memory import OPERATORS, World
from temporalio.testing import WorkflowEnvironment

from innkeeper.client import Innkeeper
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.worker import settle_in

from .player import Player
from .watching import Watching

LATER = timedelta(days=1)
"""How much later the cluster thinks it is: whichever Helm was killed, its hard limit is over."""


class LaterCluster(MemoryCluster):
    """A cluster whose clock is ahead of its objects' times."""

    async def now(self) -> datetime:
        """See `ports.Cluster.now`."""
        return await super().now() + LATER


@contextlib.asynccontextmanager
async def stage(
    environment: WorkflowEnvironment,
    *,
    cluster: type[MemoryCluster] = LaterCluster,
    helm: type[MemoryHelm] = MemoryHelm,
    database: type[MemoryDatabase] = MemoryDatabase,
) -> AsyncIterator[World]:
    """A world with a worker, of these gateways."""
    watching = Watching()
    world = World(environment.client, environment, faults=watching)
    world.cluster = cluster(faults=watching)
    world.helm = helm(world.cluster, faults=watching)
    world.database = database(faults=watching)
    world.database.rows = world.written
    world.innkeeper = Innkeeper(world.client, world.database)
    await settle_in(world.cluster, OPERATORS)
    async with world.worker():
        yield world
        await world.end()


@contextlib.asynccontextmanager
async def playing(world: World, tally: Counter[str], *, skips_time: bool) -> AsyncIterator[Player]:
    """A player with two instances of its own."""
    own = uuid.uuid4().hex[:8]
    skipping = contextlib.nullcontext() if skips_time else world.environment.with_time_skipping_disabled()
    with skipping:
        player = Player(world, [f"s{own}-{letter}" for letter in "ab"], tally, skips_time=skips_time)
        try:
            yield player
        finally:
            await player.leave()
