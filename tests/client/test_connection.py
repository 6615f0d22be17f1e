"""Connecting, and what a caller is told where that does not work."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from innkeeper.client import BadInput, Forbidden, Innkeeper, Outcome, Unreachable
from innkeeper.client.connection import translated


def nowhere() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


async def test_a_silent_address_is_named_with_its_fix() -> None:
    address = nowhere()
    started = time.monotonic()
    with pytest.raises(Unreachable, match=f"Temporal at {address} does not answer") as caught:
        await Innkeeper.connect(address)
    assert time.monotonic() - started < 60
    assert caught.value.cause.code == "TemporalUnreachable"
    assert "TEMPORAL_ADDRESS" in caught.value.cause.fix


async def test_an_address_that_never_answers_is_given_up() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        started = time.monotonic()
        with pytest.raises(Unreachable, match="does not answer"):
            await Innkeeper.connect(f"127.0.0.1:{deaf.getsockname()[1]}")
    assert time.monotonic() - started < 60, "ten seconds, on a machine that does nothing else"


async def test_the_environment_says_where_temporal_is(
    address: str, scripted_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    innkeeper = await Innkeeper.connect()
    assert (await (await innkeeper.stop("by-environment")).result()).outcome is Outcome.DONE


async def test_a_toml_file_says_where_temporal_is(address: str, scripted_worker: Worker, tmp_path: Path) -> None:
    config = tmp_path / "temporal.toml"
    config.write_text(f'[profile.here]\naddress = "{address}"\nnamespace = "default"\n')
    innkeeper = await Innkeeper.connect(config=config, profile="here")
    assert (await (await innkeeper.stop("by-file")).result()).outcome is Outcome.DONE


async def test_a_broken_toml_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "temporal.toml"
    config.write_text("[profile")
    with pytest.raises(BadInput, match=r"temporal.toml.* is no usable client configuration"):
        await Innkeeper.connect(config=config)


async def test_a_namespace_that_does_not_exist_is_named(address: str) -> None:
    innkeeper = await Innkeeper.connect(address, namespace="nowhere")
    with pytest.raises(BadInput, match="namespace: 'nowhere' does not exist") as caught:
        await innkeeper.stop("acme")
    assert "TEMPORAL_NAMESPACE" in caught.value.cause.fix


async def test_a_client_with_temporals_default_converter_works_too(address: str, scripted_worker: Worker) -> None:
    innkeeper = Innkeeper(await Client.connect(address))
    result = await (await innkeeper.provision("converted", tenant="t1", plan="starter")).result()
    assert result.outcome is Outcome.DONE
    assert result.steps[0].at.tzinfo is not None


async def test_a_task_queue_may_be_named_by_the_workers_variable(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNKEEPER_TASK_QUEUE", "another-queue")
    handle = await Innkeeper(client).stop("queued")
    run = client.get_workflow_handle("instance/queued", run_id=handle.run_id)
    assert (await run.describe()).task_queue == "another-queue"
    await run.terminate()


@pytest.mark.parametrize("status", [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED])
async def test_a_refused_key_is_not_called_unreachable(client: Client, status: RPCStatusCode) -> None:
    refused = translated(RPCError("Request unauthorized.", status, b""), client)
    assert isinstance(refused, Forbidden)
    assert "TEMPORAL_API_KEY" in refused.cause.fix
