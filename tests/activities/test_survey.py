"""What an operation leaves is named object by object, the customer's own release not among it."""

from __future__ import annotations

import pytest

from innkeeper.model import release
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Work

from .conftest import WORK, Bench
from .test_releases import config

DEPLOYMENT = "Deployment inn-acme/acme-web"


@pytest.mark.parametrize(
    ("kind", "former", "named"),
    [(Kind.UPGRADE, Status.RUNNING, False), (Kind.STOP, Status.RUNNING, False), (Kind.UNINSTALL, Status.RUNNING, True)],
)
async def test_what_runs_is_named_only_by_what_was_to_take_it_away(
    bench: Bench, kind: Kind, former: Status, named: bool
) -> None:
    await bench.attempt(bench.releases.release)
    work = WORK.model_copy(update={"request_id": "r2", "kind": kind, "former": former, "former_revision": 1})
    assert (DEPLOYMENT in await bench.attempt(bench.namespaces.survey, work)) is named


async def test_all_is_named_where_a_record_of_helms_cannot_be_read(bench: Bench) -> None:
    await bench.world.create(config("left", "acme"))
    labels = {**release.storage_labels("acme"), "status": "deployed", "version": "1"}
    meta = {"name": "sh.helm.release.v1.acme.v1", "namespace": "inn-acme", "labels": labels}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": release.STORAGE_TYPE}
    await bench.world.create({**kind, "metadata": meta, "data": {"release": "AAAA"}})
    work: Work = WORK.model_copy(update={"kind": Kind.UPGRADE, "former": Status.RUNNING})
    assert "ConfigMap inn-acme/left" in await bench.attempt(bench.namespaces.survey, work)


async def test_what_ran_is_not_named_where_a_killed_helm_left_no_revision_deployed(bench: Bench) -> None:
    await bench.stored(1, "superseded", config("ran", None))
    await bench.stored(2, "pending-upgrade", config("ran", None), config("more", None))
    for made in ("ran", "more"):
        await bench.world.create(config(made, "acme"))
    work = WORK.model_copy(update={"kind": Kind.STOP, "former": Status.RUNNING})
    told = await bench.attempt(bench.namespaces.survey, work)
    assert ("ConfigMap inn-acme/ran" in told, "ConfigMap inn-acme/more" in told) == (False, True)
