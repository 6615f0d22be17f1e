"""What runs is told by one get where nothing changed, and as truly as by a list where something did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from innkeeper.activities.storage import Storage
from innkeeper.model import fence, release
from innkeeper.model.ports import Ref

from .conftest import WORK, Bench

BIGGER = WORK.model_copy(update={"plan": "bigger", "request_id": "r2"})


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    """An instance whose release runs."""
    await bench.attempt(bench.releases.release)
    return bench


def record(version: int) -> Ref:
    return Ref("v1", "Secret", release.record_name("acme", version), "inn-acme")


async def told(bench: Bench, storage: Storage) -> tuple[int | None, int]:
    """The version that is said to run, and how many lists that took."""
    before = bench.faults.count("cluster.list_objects")
    found = await storage.running(WORK)
    return found.version if found else None, bench.faults.count("cluster.list_objects") - before


async def upgrade(bench: Bench) -> None:
    await bench.attempt(bench.releases.release, BIGGER)


async def fail_an_upgrade(bench: Bench) -> None:
    """Somebody's Helm dies at its work: a revision is pending, and the one before it runs."""
    await upgrade(bench)
    newest = {"metadata": {"labels": {"status": "pending-upgrade"}}}
    assert await bench.world.patch(record(2), newest) is not None
    assert await bench.world.patch(record(1), {"metadata": {"labels": {"status": "deployed"}}}) is not None


async def uninstall(bench: Bench) -> None:
    await bench.attempt(bench.releases.uninstall)


async def forget_the_newest(bench: Bench) -> None:
    """Somebody deletes the record of what runs."""
    await bench.remove(record(1))


async def change_the_type(bench: Bench) -> None:
    """Something of that name is there that is no record of Helm's."""
    found = await bench.world.get(record(1))
    assert found is not None
    await bench.remove(record(1))
    meta = {"name": found["metadata"]["name"], "namespace": "inn-acme"}
    await bench.world.create({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta})


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        (upgrade, (2, 1)),
        (fail_an_upgrade, (1, 0)),
        (uninstall, (None, 1)),
        (forget_the_newest, (None, 1)),
        (change_the_type, (None, 1)),
    ],
)
async def test_what_runs_is_known_by_one_get_until_somebody_changes_it(
    bench: Bench, change: Callable[[Bench], Awaitable[None]], runs: tuple[int | None, int]
) -> None:
    storage = Storage(bench.cluster)
    assert await told(bench, storage) == (1, 1)
    gets = bench.faults.count("cluster.get")
    assert await told(bench, storage) == (1, 0)
    assert bench.faults.count("cluster.get") - gets == 1
    await change(bench)
    assert await told(bench, storage) == runs


async def test_what_is_remembered_of_releases_has_a_limit(bench: Bench) -> None:
    storage = Storage(bench.cluster, most_known=1)
    other = WORK.model_copy(update={"namespace": "inn-other", "release": "other"})
    assert await told(bench, storage) == (1, 1)
    assert await storage.running(other) is None
    assert await told(bench, storage) == (1, 0), "there is no release to remember"
    await bench.attempt(bench.namespaces.prepare, other)
    await bench.attempt(bench.releases.release, other)
    assert await storage.running(other) is not None
    assert await told(bench, storage) == (1, 1)


@pytest.mark.parametrize(("plan", "lists"), [("starter", 0), ("wide", 1)])
async def test_in_a_namespace_that_was_just_made_no_helm_is_looked_for_unless_one_may_work_anywhere(
    bench: Bench, plan: str, lists: int
) -> None:
    await bench.remove(Ref("v1", "Namespace", "inn-acme"))
    before = bench.faults.count("cluster.list_objects")
    await bench.attempt(bench.namespaces.prepare, WORK.model_copy(update={"plan": plan}))
    assert bench.faults.count("cluster.list_objects") - before == lists


async def lose_the_mark(bench: Bench) -> None:
    """Helm warns and goes on where it cannot mark what it has replaced."""
    await upgrade(bench)
    assert await bench.world.patch(record(1), {"metadata": {"labels": {"status": "deployed"}}}) is not None


async def upgrade_twice(bench: Bench) -> None:
    """Somebody upgrades it by hand right after."""
    await upgrade(bench)
    await bench.attempt(bench.releases.release, WORK.model_copy(update={"request_id": "r3"}))


async def forget_the_former(bench: Bench) -> None:
    """Somebody deletes the record of what ran before."""
    await upgrade(bench)
    await bench.remove(record(1))


@pytest.mark.parametrize(
    ("change", "lists"), [(upgrade, 0), (lose_the_mark, 1), (upgrade_twice, 1), (forget_the_former, 1), (uninstall, 1)]
)
async def test_after_an_upgrade_all_is_known_as_truly_as_by_a_list(
    bench: Bench, change: Callable[[Bench], Awaitable[None]], lists: int
) -> None:
    storage = Storage(bench.cluster)
    before = await storage.revisions(WORK)
    await change(bench)
    listed = bench.faults.count("cluster.list_objects")
    found = await storage.after_upgrade(WORK, before)
    assert bench.faults.count("cluster.list_objects") - listed == lists
    assert found == await storage.revisions(WORK)


async def test_what_an_earlier_attempts_helm_may_still_write_is_listed(bench: Bench) -> None:
    storage = Storage(bench.cluster)
    await bench.stored(2, "pending-upgrade")
    before = await storage.revisions(WORK)
    await bench.world.patch(record(1), {"metadata": {"labels": {"status": "superseded"}}})
    await bench.stored(3, "deployed")
    await bench.world.patch(record(2), {"metadata": {"labels": {"status": "deployed"}}})
    found = await storage.after_upgrade(WORK, before)
    assert [each.state.value for each in found] == ["superseded", "deployed", "deployed"]


@pytest.mark.parametrize(("noted", "lists"), [(False, 0), (True, 1)])
async def test_beside_a_helm_that_no_binding_fences_an_upgrade_is_followed_by_a_list(
    bench: Bench, noted: bool, lists: int
) -> None:
    if noted:
        until_then = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        note = {"metadata": {"annotations": {fence.UNFENCED_UNTIL: until_then}}}
        assert await bench.world.patch(fence.binding_ref("inn-acme"), note) is not None
    bench.faults.calls.clear()
    await bench.attempt(bench.releases.release, BIGGER)
    after = bench.faults.calls[bench.faults.calls.index("helm.upgrade") :]
    assert after.count("cluster.list_objects") == lists


async def test_after_the_first_install_its_only_revision_is_got(bench: Bench) -> None:
    storage = Storage(bench.cluster)
    listed = bench.faults.count("cluster.list_objects")
    [found] = await storage.after_upgrade(WORK, [])
    assert (found.version, bench.faults.count("cluster.list_objects") - listed) == (1, 0)
