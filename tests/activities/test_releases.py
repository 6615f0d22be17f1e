"""A release is brought to what is wanted by acts that may each come to nothing: what stays unsettled is named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from attempts import OPERATORS, Steps, attempt

from innkeeper.gateways.faults import Faults
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import catalog
from innkeeper.model.errors import Pending, Permanent, Unreachable
from innkeeper.model.instance import Kind
from innkeeper.model.ports import Manifest, Ref, Release
from innkeeper.worker import settle_in

from .conftest import CATALOG, WORK, Bench

WIDE = WORK.model_copy(update={"plan": "wide"})
BACK = WORK.model_copy(update={"former_revision": 1})


class Idle(MemoryHelm):
    """A Helm that says that it is done, and does nothing."""

    async def upgrade(self, release: Release, *, limit: float, acting_as: str | None = None) -> None:
        """Do nothing."""

    async def uninstall(
        self, name: str, namespace: str, *, limit: float, acting_as: str | None = None, **_withheld: Sequence[str]
    ) -> None:
        """Do nothing."""

    async def rollback(
        self,
        name: str,
        namespace: str,
        revision: int,
        *,
        limit: float,
        acting_as: str | None = None,
        **_withheld: Sequence[str],
    ) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("act", "work", "stands", "said"),
    [
        ("release", WORK, False, "release acme does not settle"),
        ("uninstall", WORK, True, "release acme does not go away"),
        ("undo_release", WORK, True, "release acme does not settle"),
        ("undo_release", BACK, True, "release acme does not settle"),
    ],
)
async def test_a_release_that_no_act_of_helms_changes_is_given_up_for_now_and_named(
    act: str, work: object, stands: bool, said: str
) -> None:
    cluster = MemoryCluster()
    plans = catalog.parse({"plans": {"starter": {"chart": {"path": "room"}}}}, folder="")
    await settle_in(cluster, OPERATORS)
    real, idle = Steps(cluster, MemoryHelm(cluster), plans), Steps(cluster, Idle(cluster), plans)
    await attempt(real.namespaces.prepare, WORK)
    if stands:
        await attempt(real.releases.release, WORK)
        await attempt(real.releases.release, WORK.model_copy(update={"request_id": "r2"}))
    if work is BACK:
        (stored,) = await cluster.list_objects("v1", "Secret", namespace="inn-acme", labels={"owner": "helm"})
        failed = {"metadata": {"labels": {"status": "failed"}}}
        await cluster.patch(Ref("v1", "Secret", stored["metadata"]["name"], "inn-acme"), failed)
    with pytest.raises(Pending, match=said):
        await attempt(getattr(idle.releases, act), WORK if work is WORK else BACK)


async def test_nothing_is_undone_where_there_is_no_namespace(bench: Bench) -> None:
    await bench.remove(Ref("v1", "Namespace", "inn-acme"))
    await bench.attempt(bench.releases.undo_release)
    await bench.attempt(bench.releases.uninstall)
    assert bench.faults.count("helm.*") == 0


async def test_where_no_release_runs_there_is_nothing_to_restore(bench: Bench) -> None:
    await bench.attempt(bench.releases.restore)
    assert await bench.states() == []
    assert bench.faults.count("helm.*") == 0


async def test_a_release_that_is_gone_although_it_ran_before_is_for_a_person_to_look_at(bench: Bench) -> None:
    with pytest.raises(Permanent, match="the release is gone, although revision 1 ran before") as told:
        await bench.attempt(bench.releases.undo_release, BACK)
    assert (told.value.cause.code, told.value.cause.object) == ("AmbiguousRelease", "Release inn-acme/acme")


@pytest.mark.parametrize("act", ["uninstall", "undo_release"])
async def test_a_helm_that_may_be_alive_is_waited_for_before_its_release_is_taken_away(bench: Bench, act: str) -> None:
    bench.faults.fail("helm.upgrade.superseded", Unreachable("Helm was killed"))
    with pytest.raises(Unreachable):
        await bench.attempt(bench.releases.release, WIDE)
    with pytest.raises(Pending, match=r"revision 1 \(pending-install\) may be a live Helm's") as told:
        await bench.attempt(getattr(bench.releases, act), WIDE)
    assert told.value.retry_after == 10
    assert await bench.states() == ["pending-install"]


class Ahead(MemoryCluster):
    """A cluster whose clock can be put forward, or stopped."""

    ahead = timedelta()
    stands: datetime | None = None

    async def now(self) -> datetime:
        """See `ports.Cluster.now`."""
        return self.stands or await super().now() + self.ahead


async def test_a_helm_that_has_a_moment_left_to_live_is_waited_for_within_the_attempt() -> None:
    cluster, faults = Ahead(), Faults()
    plans = catalog.parse(CATALOG, folder="")
    await settle_in(cluster, OPERATORS)
    steps = Steps(cluster, MemoryHelm(cluster, faults=faults), plans)
    await attempt(steps.namespaces.prepare, WIDE)
    faults.fail("helm.upgrade.superseded", Unreachable("Helm was killed"))
    with pytest.raises(Unreachable):
        await attempt(steps.releases.release, WIDE)
    # Two seconds before, of which one may have gone since: the API server's stamps are whole ones.
    cluster.ahead = timedelta(seconds=steps.fence.hard_limit - 1)
    await attempt(steps.releases.uninstall, WIDE)
    assert await cluster.list_objects("v1", "Secret", namespace="inn-acme", labels={"owner": "helm"}) == []


def config(name: str, owner: str | None) -> Manifest:
    annotations = {"annotations": {"meta.helm.sh/release-name": owner}} if owner else {}
    meta = {"name": name, "namespace": "inn-acme", **annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


async def test_what_only_an_older_revision_made_goes_with_the_release_and_what_others_made_stays(bench: Bench) -> None:
    await bench.stored(1, "superseded", config("old", None), config("theirs", None), config("gone", None))
    await bench.stored(2, "deployed", config("new", None))
    for made in (config("old", "acme"), config("theirs", "other"), config("new", "acme")):
        await bench.world.create(made)
    await bench.attempt(bench.releases.uninstall)
    left = await bench.world.list_objects("v1", "ConfigMap", namespace="inn-acme")
    assert [each["metadata"]["name"] for each in left] == ["theirs"]


async def test_what_a_chart_gives_no_name_cannot_be_missed_when_a_release_is_restored(bench: Bench) -> None:
    unnamed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "any-"}}
    await bench.stored(1, "deployed", unnamed, config("there", None))
    await bench.world.create(config("there", "acme"))
    await bench.attempt(bench.releases.restore)
    assert await bench.states() == ["deployed"]
    assert bench.faults.count("helm.*") == 0


CLAIM: Manifest = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "files", "namespace": "inn-acme"},
}
FORGETFUL: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db", "namespace": "inn-acme"},
    "spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}},
}


@pytest.mark.parametrize("forgets", [CLAIM, FORGETFUL], ids=["claim", "workload"])
@pytest.mark.parametrize(
    ("act", "states"),
    [("uninstall", ("superseded", "deployed")), ("undo_release", ("deployed",)), ("release", ("uninstalling",))],
)
async def test_an_uninstall_of_what_was_upgraded_by_hand_never_deletes_a_volume_and_a_purge_may(
    bench: Bench, act: str, states: tuple[str, ...], forgets: Manifest
) -> None:
    for version, state in enumerate(states, start=1):
        await bench.stored(version, state, forgets)
    await bench.world.create(CLAIM)
    with pytest.raises(Permanent, match=f"would delete volumes of {Ref.to(forgets)}") as refused:
        await bench.attempt(getattr(bench.releases, act))
    assert (refused.value.cause.code, refused.value.cause.object) == ("WouldLoseData", "Release inn-acme/acme")
    assert await bench.states() == list(states)
    assert await bench.world.get(Ref.to(CLAIM)) is not None
    await bench.attempt(bench.releases.uninstall, WORK.model_copy(update={"kind": Kind.PURGE}))
    assert await bench.states() == []


async def test_an_uninstall_goes_on_once_the_release_is_rolled_back_to_what_keeps_its_volumes(bench: Bench) -> None:
    kept = {**CLAIM, "metadata": {**CLAIM["metadata"], "annotations": {"helm.sh/resource-policy": "keep"}}}
    await bench.stored(1, "superseded", kept)
    await bench.stored(2, "superseded", CLAIM)
    await bench.stored(3, "deployed", kept)
    await bench.world.create(kept)
    await bench.attempt(bench.releases.uninstall)
    assert await bench.states() == []
    assert await bench.world.get(Ref.to(CLAIM)) is not None


def held(config_map: Manifest) -> Manifest:
    return {**config_map, "metadata": {**config_map["metadata"], "finalizers": ["example.com/hold"]}}


@pytest.mark.parametrize("act", ["uninstall", "undo_release"])
async def test_a_release_is_not_called_gone_while_a_finalizer_holds_an_object_of_it(bench: Bench, act: str) -> None:
    await bench.stored(1, "superseded", config("old", None))
    await bench.stored(2, "deployed", config("new", None))
    for made in (config("old", "acme"), held(config("new", "acme")), held(config("theirs", "other"))):
        await bench.world.create(made)
    # The second attempt does not know any more what the first one deleted.
    for _ in range(2):
        with pytest.raises(Pending, match=r"still being deleted: ConfigMap inn-acme/new Fix") as told:
            await bench.attempt(getattr(bench.releases, act), limit=0.4)
        assert (told.value.cause.code, told.value.cause.object) == ("ObjectsHeld", "ConfigMap inn-acme/new")
        assert await bench.states() == []
    await bench.world.patch(Ref.to(config("new", None)), {"metadata": {"finalizers": None}})
    await bench.attempt(getattr(bench.releases, act))


async def test_a_purge_leaves_what_is_held_to_the_namespace(bench: Bench) -> None:
    await bench.stored(1, "deployed", config("new", None))
    await bench.world.create(held(config("new", "acme")))
    await bench.attempt(bench.releases.uninstall, WORK.model_copy(update={"kind": Kind.PURGE}))
    assert await bench.states() == []


async def test_a_release_of_which_a_killed_helm_left_no_revision_deployed_is_restored_to_what_ran(bench: Bench) -> None:
    await bench.stored(1, "superseded", config("there", None))
    await bench.stored(2, "pending-upgrade", config("there", None), config("more", None))
    await bench.attempt(bench.releases.restore)
    assert await bench.states() == ["superseded", "pending-upgrade", "deployed"]
    assert await bench.world.get(Ref.to(config("more", None))) is None


ROLE = Ref("rbac.authorization.k8s.io/v1", "ClusterRole", "acme-wide")


async def test_an_object_outside_the_namespace_that_is_held_is_seen_by_the_next_attempt_too(bench: Bench) -> None:
    work = WIDE.model_copy(update={"kind": Kind.UNINSTALL})
    await bench.attempt(bench.releases.release, WIDE)
    await bench.world.patch(ROLE, {"metadata": {"finalizers": ["example.com/hold"]}})
    for _ in range(3):
        with pytest.raises(Pending, match="still being deleted: ClusterRole acme-wide"):
            await bench.attempt(bench.releases.uninstall, work, limit=0.6)
    await bench.world.patch(ROLE, {"metadata": {"finalizers": None}})
    await bench.attempt(bench.releases.uninstall, work)
    assert await bench.world.get(ROLE) is None


async def test_what_another_helm_deleted_while_it_was_waited_for_is_seen_gone() -> None:
    cluster, faults = Ahead(), Faults()
    await settle_in(cluster, OPERATORS)
    steps = Steps(cluster, MemoryHelm(cluster, faults=faults), catalog.parse(CATALOG, folder=""))
    await attempt(steps.namespaces.prepare, WIDE)
    await attempt(steps.releases.release, WIDE)
    await cluster.create(held(config("held", "acme")))
    stored = await cluster.list_objects("v1", "Secret", namespace="inn-acme", labels={"owner": "helm"})
    faults.fail("helm.uninstall.uninstalling", Unreachable("its worker was frozen"), when="after")
    # It is noted as one that may live for longer than it does, however long it takes from the note to its death.
    cluster.ahead = timedelta(seconds=30)
    with pytest.raises(Unreachable):
        await attempt(steps.releases.uninstall, WIDE, limit=20)
    # Two seconds before its end, until it has gone on.
    killed = (await steps.storage.revisions(WIDE))[-1].changed
    cluster.stands = killed + timedelta(seconds=steps.fence.hard_limit - 1)

    async def goes_on() -> None:
        """The Helm of before wakes up, and ends while this attempt waits a moment for it."""
        await asyncio.sleep(0.3)
        for each in (config("held", "acme"), *({**secret, "apiVersion": "v1", "kind": "Secret"} for secret in stored)):
            found = await cluster.get(Ref.to(each))
            assert found is not None
            await cluster.delete(Ref.to(each), uid=found["metadata"]["uid"])

    other = asyncio.create_task(goes_on())
    with pytest.raises(Pending, match="still being deleted: ConfigMap inn-acme/held"):
        await attempt(steps.releases.uninstall, WIDE, limit=12)
    await other
