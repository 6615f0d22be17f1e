"""No secret leaves the namespace it is in: not into Temporal, nor a row, a log or an error that quotes it."""

from __future__ import annotations

import base64
import logging
import secrets
import zlib

import pytest
from disclosure import histories_of, secrets_of, told_in
from temporalio.client import Client

from innkeeper.client import Innkeeper
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model import release
from innkeeper.model.errors import OperationFailed
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.settings import Settings


def unpacked(revision: release.Revision) -> str:
    """All that Helm stored of a revision, values included."""
    return zlib.decompress(base64.b64decode(base64.b64decode(revision.packed)), wbits=31).decode()


async def rows_of(innkeeper: Innkeeper, name: str) -> str:
    """All that the database keeps of an instance."""
    told = [await innkeeper.get(name), *(await innkeeper.operations(name)).items]
    return "".join(item.model_dump_json() for item in told if item)


async def test_no_secret_reaches_a_history_a_row_or_helms_stored_values(
    innkeeper: Innkeeper, cluster: KubernetesCluster, addresses: Addresses
) -> None:
    await (await innkeeper.provision("secretive", tenant="t1", plan="starter")).result()
    generated = await secrets_of(cluster, "secretive")
    assert generated
    labels = release.storage_labels("secretive")
    stored = await cluster.list_objects("v1", "Secret", namespace="inn-secretive", labels=labels)
    temporal = await Client.connect(addresses.temporal_address)
    for text in (
        await histories_of(temporal, "secretive"),
        await rows_of(innkeeper, "secretive"),
        "".join(unpacked(revision) for revision in release.revisions_of(stored)),
    ):
        assert "secretive" in text
        assert told_in(text, generated) == []


async def test_values_that_a_chart_insists_on_reach_no_history_no_row_and_no_log_although_the_cluster_quotes_them(
    innkeeper: Innkeeper,
    cluster: KubernetesCluster,
    addresses: Addresses,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = "insistent"
    caplog.set_level(logging.INFO)
    # No label may be so, and the API server quotes what it refuses.
    held = {"token": secrets.token_urlsafe(20), "phrase": f"no label, {secrets.token_urlsafe(20)}"}
    meta = {"name": "licence", "namespace": settings.operator_namespace}
    await cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": held})
    await (await innkeeper.provision(name, tenant="t1", plan="insisting")).result()
    known = await secrets_of(cluster, name)
    assert (len(known), set(held.values()) <= set(known)) == (4, True)
    handle = await innkeeper.upgrade(name, plan="insisting-on-labels")
    with pytest.raises(OperationFailed) as told:
        await handle.result()
    result = told.value.result
    assert result is not None
    assert (result.outcome, result.status) == (Outcome.UNDONE, Status.RUNNING)
    assert "***" in told.value.cause.message
    for kind in ("stop", "start", "restart", "uninstall"):
        await (await getattr(innkeeper, kind)(name)).result()
    temporal = await Client.connect(addresses.temporal_address)
    answered = result.model_dump_json() + (await handle.describe()).model_dump_json()
    for text in (await histories_of(temporal, name), await rows_of(innkeeper, name), answered, caplog.text):
        assert name in text
        assert told_in(text, known) == []
