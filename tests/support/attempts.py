"""Attempts of activities without Temporal, so that a test can have several of one step at once, as zombies are."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio.testing import ActivityEnvironment

from innkeeper.activities.charts import Charts
from innkeeper.activities.fence import Fence
from innkeeper.activities.namespaces import Namespaces
from innkeeper.activities.releases import Releases
from innkeeper.activities.secrets import Secrets
from innkeeper.activities.storage import Storage
from innkeeper.model.catalog import Catalog
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Work
from innkeeper.model.ports import Cluster, Helm

T = TypeVar("T")

OPERATORS = "innkeeper-system"


async def attempt(
    act: Callable[[Work], Awaitable[T]], work: Work, *, limit: float = 60, in_all: float | None = None, gone: float = 0
) -> T:
    """One attempt of an activity, which may take `limit` seconds, and `in_all` with the attempts before it.

    Those have taken `gone` seconds.
    """
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info,
        start_to_close_timeout=timedelta(seconds=limit),
        schedule_to_close_timeout=None if in_all is None else timedelta(seconds=in_all),
        started_time=environment.info.scheduled_time + timedelta(seconds=gone),
    )
    return await environment.run(act, work)


def work_on(name: str, plan: str, *, request_id: str = "r1") -> Work:
    """A provision of tenant t1's instance."""
    return Work(
        request_id=request_id,
        kind=Kind.PROVISION,
        instance=name,
        tenant="t1",
        plan=plan,
        namespace=f"inn-{name}",
        release=name,
        generation=1,
    )


class Steps:
    """The activities around a release, over these gateways."""

    def __init__(self, cluster: Cluster, helm: Helm, catalog: Catalog) -> None:
        self.fence = Fence(cluster, catalog)
        secrets = Secrets(cluster, OPERATORS)
        self.namespaces = Namespaces(cluster, catalog, secrets, self.fence)
        self.storage = Storage(cluster)
        charts = Charts(helm, cluster)
        self.releases = Releases(cluster, helm, catalog, charts, secrets, self.fence, self.storage)
