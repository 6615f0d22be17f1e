"""What Helm does, in memory and as a real child on a real API server: the same tests, so that memory cannot lie."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from helm_stage import CHARTS, LIMIT, PATIENCE, Stage, Wish, gone, history, live, settle, states

from innkeeper.gateways import memory_charts
from innkeeper.model import release as releases
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import BadInput, Conflict, NotOurs, Pending, ReleaseFailed
from innkeeper.model.ports import Cluster, Helm, Ref
from innkeeper.model.release import State

OWNER = "meta.helm.sh/release-name"


async def test_helm_says_its_version(helm: Helm) -> None:
    assert (await helm.version()).startswith("v3.")


@pytest.mark.parametrize("chart", ["room", "hooked", "slow", "claims", "refused", "outside", "wide", "unknown"])
async def test_both_charts_of_a_name_render_the_same(helm: Helm, wish: Wish, chart: str) -> None:
    wanted = wish(chart, values={"replicas": 2, "note": "yes: 1e3 – \U0001f600"})
    rendered = await helm.template(wanted, limit=LIMIT)
    expected = memory_charts.render(wanted)
    by_name = sorted(rendered, key=lambda each: (each["kind"], each["metadata"]["name"]))
    assert by_name == sorted(
        [*expected.objects, *expected.hooks], key=lambda each: (each["kind"], each["metadata"]["name"])
    )


async def test_secret_values_reach_the_chart_over_the_open_ones(helm: Helm, wish: Wish) -> None:
    wanted = wish(values={"note": "open", "replicas": 2}, secret_values={"note": "secret"})
    rendered = await helm.template(wanted, limit=LIMIT)
    assert [each["data"] for each in rendered if each["kind"] == "ConfigMap"] == [{"note": "secret"}]
    assert [each["spec"]["replicas"] for each in rendered if each["kind"] == "Deployment"] == [2]


async def test_an_install_is_one_deployed_revision_with_its_mark_and_objects(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish("hooked"), limit=LIMIT)
    (revision,) = await history(cluster, namespace)
    assert (revision.version, revision.state, revision.mark, revision.chart) == (
        1,
        State.DEPLOYED,
        "m1",
        "hooked-0.1.0",
    )
    assert {str(ref) for ref in releases.objects_of(revision)} == {
        "ConfigMap acme-config",
        "Deployment acme-web",
        "Service acme-web",
        "StatefulSet acme-db",
    }
    assert [each["metadata"]["name"] for each in revision.hooks] == ["acme-before"]
    assert abs((await cluster.now() - revision.changed).total_seconds()) < PATIENCE
    for ref in releases.objects_of(revision):
        found = await live(cluster, namespace, ref.kind, ref.name)
        assert found is not None
        assert found["metadata"]["annotations"][OWNER] == "acme"
        assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert await live(cluster, namespace, "ConfigMap", "acme-before")


async def test_an_upgrade_changes_what_changed_and_supersedes_the_old_revision(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish("claims", values={"replicas": 1}), limit=LIMIT)
    await helm.upgrade(wish("room", "m2", values={"replicas": 3, "note": "new"}), limit=LIMIT)
    assert [(each.state.value, each.mark) for each in await history(cluster, namespace)] == [
        ("superseded", "m1"),
        ("deployed", "m2"),
    ]
    web = await live(cluster, namespace, "Deployment", "acme-web")
    config = await live(cluster, namespace, "ConfigMap", "acme-config")
    assert web is not None
    assert web["spec"]["replicas"] == 3
    assert config is not None
    assert config["data"] == {"note": "new"}
    await gone(cluster, namespace, "PersistentVolumeClaim", "acme-files")


async def test_an_upgrade_and_a_rollback_both_bring_replicas_back(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    deployment = Ref("apps/v1", "Deployment", "acme-web", namespace)

    async def replicas_after_scaling_to_zero(act: Callable[[], Any]) -> int:
        await cluster.patch(deployment, {"spec": {"replicas": 0}})
        await act()
        found = await cluster.get(deployment)
        assert found is not None
        return int(found["spec"]["replicas"])

    await helm.upgrade(wish(values={"replicas": 2}), limit=LIMIT)
    again = wish(mark="m2", values={"replicas": 2})
    assert await replicas_after_scaling_to_zero(lambda: helm.upgrade(again, limit=LIMIT)) == 2
    assert await replicas_after_scaling_to_zero(lambda: helm.rollback("acme", namespace, 1, limit=LIMIT)) == 2


async def test_a_rollback_is_a_new_revision_with_the_old_ones_mark_and_objects(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish(values={"note": "first"}), limit=LIMIT)
    await helm.upgrade(wish(mark="m2", values={"note": "second"}), limit=LIMIT)
    await helm.rollback("acme", namespace, 1, limit=LIMIT)
    found = await history(cluster, namespace)
    assert [(each.state.value, each.mark) for each in found] == [
        ("superseded", "m1"),
        ("superseded", "m2"),
        ("deployed", "m1"),
    ]
    assert found[0].manifest == found[2].manifest
    config = await live(cluster, namespace, "ConfigMap", "acme-config")
    assert config is not None
    assert config["data"] == {"note": "first"}
    assert releases.decide_undo(found, 1, await cluster.now(), LIMIT) == releases.Nothing()


async def test_an_upgrade_by_hand_keeps_the_mark_and_is_found_out(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish(), limit=LIMIT)
    await helm.upgrade(wish(mark="", values={"replicas": 2}), limit=LIMIT)
    revisions = await history(cluster, namespace)
    assert [each.mark for each in revisions] == ["m1", "m1"]
    assert [releases.wish_of(each, revisions) for each in revisions] == ["m1", ""]
    assert releases.decide(revisions, "m1", await cluster.now(), LIMIT) == releases.Upgrade()
    await helm.rollback("acme", namespace, 2, limit=LIMIT)
    await helm.rollback("acme", namespace, 1, limit=LIMIT)
    revisions = await history(cluster, namespace)
    assert [each.description for each in revisions[2:]] == ["Rollback to 2", "Rollback to 1"]
    assert [releases.wish_of(each, revisions) for each in revisions] == ["m1", "", "", "m1"]
    assert releases.is_settled(revisions, "m1")


async def test_a_rollback_to_what_is_not_there_is_refused(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    with pytest.raises(ReleaseFailed, match="release: not found"):
        await helm.rollback("acme", namespace, 1, limit=LIMIT)
    await helm.upgrade(wish(), limit=LIMIT)
    with pytest.raises(ReleaseFailed, match="release has no 9 version"):
        await helm.rollback("acme", namespace, 9, limit=LIMIT)
    assert await states(cluster, namespace) == ["deployed"]


async def test_an_uninstall_leaves_no_object_and_no_record_and_may_be_repeated(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish(), limit=LIMIT)
    await helm.upgrade(wish(mark="m2"), limit=LIMIT)
    for _ in range(2):
        await helm.uninstall("acme", namespace, limit=LIMIT)
        assert await states(cluster, namespace) == []
        for kind, name in (("Deployment", "acme-web"), ("StatefulSet", "acme-db"), ("Service", "acme-web")):
            await gone(cluster, namespace, kind, name)


async def test_volumes_of_a_chart_that_forgot_them_outlive_an_uninstall_and_are_found_again(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    wanted = wish("claims", keep_volumes=True)
    await helm.upgrade(wanted, limit=LIMIT)
    database = await live(cluster, namespace, "StatefulSet", "acme-db")
    assert database is not None
    assert set(database["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    before = await live(cluster, namespace, "PersistentVolumeClaim", "acme-files")
    assert before is not None

    await helm.uninstall("acme", namespace, limit=LIMIT)
    await gone(cluster, namespace, "Deployment", "acme-web")
    await helm.upgrade(wanted, limit=LIMIT)
    await helm.upgrade(wish("room", "m2"), limit=LIMIT)
    after = await live(cluster, namespace, "PersistentVolumeClaim", "acme-files")
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert "deletionTimestamp" not in after["metadata"]


@pytest.mark.parametrize(
    ("chart", "values", "code", "said"),
    [
        ("broken", {}, "ChartBroken", "it is broken"),
        ("room", {"replicas": "two"}, "ValuesInvalid", "'replicas' does not fit"),
    ],
)
async def test_what_cannot_be_rendered_is_bad_input_and_leaves_nothing(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish, chart: str, values: dict[str, Any], code: str, said: str
) -> None:
    wanted = wish(chart, values=values)
    for act in (helm.template, helm.upgrade):
        with pytest.raises(BadInput, match=said) as refused:
            await act(wanted, limit=LIMIT)
        assert refused.value.cause.code == code
        assert wanted.chart.label in str(refused.value)
    assert await states(cluster, namespace) == []


async def test_an_unknown_kind_is_refused_before_anything_is_stored(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    with pytest.raises(ReleaseFailed, match='no matches for kind "Nonsense"'):
        await helm.upgrade(wish("unknown"), limit=LIMIT)
    assert await states(cluster, namespace) == []
    assert await live(cluster, namespace, "Deployment", "acme-web") is None


async def test_a_first_install_that_fails_is_recovered_by_an_uninstall(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    with pytest.raises(ReleaseFailed, match="acme-refused"):
        await helm.upgrade(wish("refused"), limit=LIMIT)
    assert await states(cluster, namespace) == ["failed"]
    assert await settle(helm, cluster, wish(mark="m2")) == ["UninstallThenInstall", "Install", "Nothing"]


async def test_an_upgrade_that_fails_leaves_the_old_revision_deployed(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish(), limit=LIMIT)
    with pytest.raises(ReleaseFailed, match="acme-refused"):
        await helm.upgrade(wish("refused", "m2"), limit=LIMIT)
    assert await states(cluster, namespace) == ["deployed", "failed"]
    assert await settle(helm, cluster, wish(mark="m3")) == ["Upgrade", "Nothing"]
    assert await states(cluster, namespace) == ["superseded", "failed", "deployed"]


async def test_an_object_of_somebody_else_is_neither_adopted_nor_changed(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "acme-config", "namespace": namespace},
        "data": {"theirs": "yes"},
    }
    await cluster.create(foreign)
    with pytest.raises(NotOurs, match="acme-config"):
        await helm.upgrade(wish(), limit=LIMIT)
    found = await live(cluster, namespace, "ConfigMap", "acme-config")
    assert found is not None
    assert found["data"] == {"theirs": "yes"}
    assert await states(cluster, namespace) == []


async def test_a_helm_that_reaches_its_limit_is_stopped_and_marks_its_revision_failed(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    # Long enough for a real Helm to come to its hook, which never ends by itself.
    with pytest.raises(Pending, match=r"not done within 7\.5 s") as late:
        await helm.upgrade(wish("slow"), limit=7.5)
    assert late.value.cause.code == "HelmTooSlow"
    assert await states(cluster, namespace) == ["failed"]


async def test_a_cancelled_helm_marks_its_revision_failed_before_the_caller_goes_on(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish(), limit=LIMIT)
    running = asyncio.create_task(helm.upgrade(wish("slow", "m2"), limit=LIMIT))
    async with asyncio.timeout(PATIENCE):
        while await cluster.get(Ref("batch/v1", "Job", "acme-before", namespace)) is None:
            await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await states(cluster, namespace) == ["deployed", "failed"]


async def test_a_helm_killed_in_its_first_install_is_waited_for_and_then_recovered(
    stage: Stage, helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await stage.kill_in_hooks(wish("slow"))
    assert await states(cluster, namespace) == ["pending-install"]
    waiting = releases.decide(await history(cluster, namespace), "m1", await cluster.now(), LIMIT)
    assert isinstance(waiting, releases.Wait)
    with pytest.raises(Conflict, match="in progress"):
        await helm.upgrade(wish(), limit=LIMIT)
    assert await settle(helm, cluster, wish()) == ["UninstallThenInstall", "Install", "Nothing"]


async def test_a_helm_killed_in_an_upgrade_is_recovered_by_a_rollback(
    stage: Stage, helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish(), limit=LIMIT)
    await stage.kill_in_hooks(wish("slow", "m2"))
    assert await states(cluster, namespace) == ["deployed", "pending-upgrade"]
    assert await settle(helm, cluster, wish(mark="m3")) == ["RollbackThenUpgrade", "Upgrade", "Nothing"]
    assert await states(cluster, namespace) == ["superseded", "pending-upgrade", "superseded", "deployed"]


async def test_a_killed_install_can_be_uninstalled(
    stage: Stage, helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await stage.kill_in_hooks(wish("slow"))
    await helm.uninstall("acme", namespace, limit=LIMIT)
    assert await states(cluster, namespace) == []


async def test_old_revisions_are_forgotten_and_the_deployed_one_never(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    for number in range(7):
        await helm.upgrade(wish(mark=f"m{number}"), limit=LIMIT)
    found = await history(cluster, namespace)
    assert [each.mark for each in found] == ["m2", "m3", "m4", "m5", "m6"]
    for number in range(6):
        with pytest.raises(ReleaseFailed):
            await helm.upgrade(wish("refused", f"f{number}"), limit=LIMIT)
    found = await history(cluster, namespace)
    assert [each.mark for each in found if each.state is State.DEPLOYED] == ["m6"]
    assert await settle(helm, cluster, wish(mark="m9")) == ["Upgrade", "Nothing"]


async def test_a_charts_digest_is_the_same_for_the_same_chart_only(helm: Helm) -> None:
    room, hooked = (ChartRef(path=str(CHARTS / name)) for name in ("room", "hooked"))
    remote = ChartRef(oci="oci://host.example/room", version="1.0.0")
    newer = remote.model_copy(update={"version": "1.0.1"})
    digests = [await helm.chart_digest(chart) for chart in (room, hooked, remote, newer)]
    assert len(set(digests)) == 4
    assert await helm.chart_digest(room) == digests[0]
