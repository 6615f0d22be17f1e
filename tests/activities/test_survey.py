"""What an operation leaves is named object by object, whatever Helm has of it."""

from __future__ import annotations

from innkeeper.model import release
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Work

from .conftest import WORK, Bench
from .test_releases import config

DEPLOYMENT = "Deployment inn-acme/acme-web"


async def test_what_an_uninstall_was_to_remove_is_named_after_a_lost_upgrade(bench: Bench) -> None:
    await bench.attempt(bench.releases.release)
    work = WORK.model_copy(update={"request_id": "r2", "kind": Kind.UNINSTALL, "former_revision": 1})
    assert DEPLOYMENT in await bench.attempt(bench.namespaces.survey, work)


async def test_all_is_named_where_a_record_of_helms_cannot_be_read(bench: Bench) -> None:
    await bench.world.create(config("left", "acme"))
    labels = {**release.storage_labels("acme"), "status": "deployed", "version": "1"}
    meta = {"name": "sh.helm.release.v1.acme.v1", "namespace": "inn-acme", "labels": labels}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": release.STORAGE_TYPE}
    await bench.world.create({**kind, "metadata": meta, "data": {"release": "AAAA"}})
    work: Work = WORK.model_copy(update={"kind": Kind.UPGRADE, "former_revision": 1})
    assert "ConfigMap inn-acme/left" in await bench.attempt(bench.namespaces.survey, work)
