"""The demo's own look at the world: cluster, rows and Helm's storage, read without asking any operation's result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import aiohttp

from ..gateways.database import SupabaseRows
from ..model import marks, names
from ..model.instance import Instance, Status
from ..model.ports import Cluster, Manifest, Page, Rows
from ..model.release import State, revisions_of, storage_labels
from ..model.usage_ports import Figure

USED = ("running_seconds", "cpu_seconds", "memory_gib_seconds", "storage_gib_seconds", "operations")
"""The metrics that every instance of the demo has used."""


class Tenant(NamedTuple):
    """A signed-in user of the backend: what its own rows are read with."""

    email: str
    id: str
    token: str


class Wrong(Exception):
    """The world is not as promised; says where."""


async def sign_up(url: str, key: str, email: str) -> Tenant:
    """A new user of the project, signed in."""
    body = {"email": email, "password": f"{email}-only-for-this-demo"}
    async with (
        aiohttp.ClientSession(headers={"apikey": key}) as session,
        session.post(f"{url}/auth/v1/signup", json=body) as answer,
    ):
        told = await answer.json()
        if answer.status >= 400:  # HTTP's own line
            raise Wrong(f"{email} cannot sign up: {answer.status}")
    return Tenant(email, told["user"]["id"], told["access_token"])


async def seen_by(tenant: Tenant, url: str, key: str) -> list[Instance]:
    """The instances as the tenant sees them, through row-level security."""
    rows = await SupabaseRows.connect(url, key, access_token=tenant.token)
    async with rows:
        return (await rows.instances(Page())).items


async def volumes(cluster: Cluster, instance: str) -> dict[str, str]:
    """The instance's volumes, name → UID: equal UIDs are the same volume."""
    found = await cluster.list_objects("v1", "PersistentVolumeClaim", namespace=names.namespace_of(instance))
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in found}


async def pods(cluster: Cluster, instance: str) -> list[Manifest]:
    """The instance's pods that run or may still run; those of finished jobs stay until their jobs go."""
    found = await cluster.list_objects("v1", "Pod", namespace=names.namespace_of(instance))
    return [pod for pod in found if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]


async def deployed(cluster: Cluster, instance: str) -> list[int]:
    """The revisions that Helm's storage calls deployed."""
    labels = storage_labels(names.release_of(instance))
    found = await cluster.list_objects("v1", "Secret", namespace=names.namespace_of(instance), labels=labels)
    return [revision.version for revision in revisions_of(found) if revision.state is State.DEPLOYED]


async def demand_running(cluster: Cluster, rows: Rows, instance: str) -> None:
    """Pass only if the row says running, one revision is deployed, and pods are ready.

    Raises:
        Wrong: they do not agree.
    """
    row = await rows.instance(instance)
    live = [pod for pod in await pods(cluster, instance) if _ready(pod)]
    found = await deployed(cluster, instance)
    if row is None or row.status is not Status.RUNNING or found != [row.revision] or not live:
        raise Wrong(f"{instance}: row {row and row.status}, deployed {found}, {len(live)} ready pods")


async def demand_stopped(cluster: Cluster, rows: Rows, instance: str) -> None:
    """Pass only if the row says stopped and no pod is there.

    Raises:
        Wrong: they do not agree.
    """
    row, left = await rows.instance(instance), await pods(cluster, instance)
    if row is None or row.status is not Status.STOPPED or left:
        raise Wrong(f"{instance}: row {row and row.status}, {len(left)} pods")


async def demand_nothing_left(cluster: Cluster, rows: Rows, instances: Sequence[str]) -> dict[str, int]:
    """Pass only if nothing of any instance is left but its history; what was counted.

    Raises:
        Wrong: something is.
    """
    ours = {marks.MANAGED_BY: marks.MANAGER}
    spaces = [
        space["metadata"]["name"]
        for space in await cluster.list_objects("v1", "Namespace", labels=ours)
        if marks.INSTANCE in space["metadata"]["labels"]
    ]
    storage = await cluster.list_objects("v1", "Secret", labels={"owner": "helm"})
    claims = await cluster.list_objects("v1", "PersistentVolumeClaim")
    page = await rows.instances(Page(limit=1000))
    alive = [row.name for row in page.items if row.status is not Status.PURGED]
    missing = set(instances) - {row.name for row in page.items}
    if spaces or storage or claims or alive or missing:
        raise Wrong(
            f"left: namespaces {spaces}, Helm records {len(storage)}, volumes {len(claims)}, rows {alive or missing}"
        )
    ended = (await rows.operations(Page(limit=1000))).items
    return {"instances purged": len(page.items), "operations recorded": len(ended), "objects left": 0}


def demand_used(
    figures: Iterable[Figure], instances: Iterable[str], operations: int
) -> dict[tuple[str, str], list[str]]:
    """What each instance and plan used of `USED`, rounded for people.

    Raises:
        Wrong: an instance is said to have used nothing of one, or another number of operations than there were.
    """
    found: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for figure in figures:
        found[figure.instance, figure.plan][figure.metric] += figure.quantity
    nothing = [
        f"{instance} {metric}"
        for instance in instances
        for metric in USED
        if not sum(used.get(metric, 0) for (name, _), used in found.items() if name == instance)
    ]
    counted = sum(used.get("operations", 0) for used in found.values())
    if nothing or counted != operations:
        raise Wrong(f"usage: nothing of {nothing}, {counted} operations of {operations}")
    return {who: [f"{used.get(metric, 0):.1f}".removesuffix(".0") for metric in USED] for who, used in found.items()}


def _ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
