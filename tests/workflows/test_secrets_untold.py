"""No secret is in a workflow's history, a row, a log or an answer, whatever fails and whoever quotes it."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest
from disclosure import everything_of, histories_of, looks_generated, secrets_of, told_in
from fake_helm import command, fake_helm
from following import Followed, failed
from in_memory import OPERATORS, World
from temporalio.client import WorkflowHistory
from wheel import ROOT

from innkeeper.client import OperationHandle
from innkeeper.model.messages import Choice, OperationResult, Outcome

STORED = sorted((ROOT / "tests" / "histories").glob("*.json"))

TOKEN = "9hK2vQxT7mWpLr4Z"
"""What the operator's Secret holds."""

QUOTES = (
    "if sys.argv[1] == 'template':\n"
    "    print('{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}')\n"
    "    sys.exit()\n"
    "import base64\n"
    "given = sys.stdin.read()\n"
    "words = [word for line in given.splitlines() for word in line.split()]\n"
    "packed = [base64.b64encode(word.encode()).decode() for word in words]\n"
    "sys.stderr.write('Error: what I was given is ' + given + ' '.join(packed))\n"
    "sys.exit(1)"
)
"""A Helm that fails and quotes all of its values, in base64, too."""


async def licence(world: World) -> None:
    """The operator's Secret that plans copy."""
    data = {"token": base64.b64encode(TOKEN.encode()).decode()}
    meta = {"name": "licence", "namespace": OPERATORS}
    await world.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})


async def answers(world: World, handle: OperationHandle, result: OperationResult) -> str:
    """All that anybody is told of an operation and its instance."""
    details = await Followed(world, handle).details()
    described = await handle.describe()
    row = await world.row(handle.instance)
    records = (await world.innkeeper.operations(handle.instance)).items
    models = [result, described, row, *records]
    return details + "".join(model.model_dump_json() for model in models)


async def demand_untold(world: World, handle: OperationHandle, result: OperationResult, log: str) -> None:
    """Neither what was generated nor what was copied is anywhere."""
    # An undo may have taken the copy back: what it held must not be told all the same.
    secrets = sorted({*await secrets_of(world.cluster, handle.instance), TOKEN})
    assert len(secrets) == 3
    history = await histories_of(world.client, handle.instance)
    told = await answers(world, handle, result)
    for text in (history, told, log):
        assert handle.instance in text
        assert told_in(text, secrets) == []


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_stored_history_holds_nothing_that_looks_like_a_generated_secret(path: Path) -> None:
    text = everything_of(WorkflowHistory.from_json(path.stem, path.read_text()))
    assert path.stem in text
    assert looks_generated(text) == []


async def test_a_secret_that_was_told_would_be_found(world: World) -> None:
    await world.provisioned("shown")
    [secret] = await secrets_of(world.cluster, "shown")
    told = f"the chart says {secret} again"
    await (await world.innkeeper.stop("shown", asked_by=secret)).result()
    packed = base64.b64encode(f"{{'password': {secret}}}".encode()).decode()
    for text in (told, f"data: {packed}", await histories_of(world.client, "shown")):
        assert told_in(text, [secret]) == [secret]
        assert looks_generated(text)


async def test_a_helm_that_quotes_its_values_tells_no_secret(
    idle_world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, name = idle_world, "quoted"
    caplog.set_level(logging.INFO)
    await licence(world)
    async with world.worker(command(fake_helm(tmp_path, QUOTES)), charts=str(ROOT / "charts")):
        handle = await world.innkeeper.provision(name, tenant="t1", plan="insisting")
        result = await failed(handle)
        assert result.outcome is Outcome.UNDONE
        assert result.cause is not None
        assert "what I was given is" in result.cause.message
        await demand_untold(world, handle, result, caplog.text)


async def test_an_operation_that_asks_because_helm_quotes_its_values_tells_no_secret(
    idle_world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, name = idle_world, "quoted-asking"
    caplog.set_level(logging.INFO)
    await licence(world)
    async with world.worker():
        await (await world.innkeeper.provision(name, tenant="t1", plan="insisting")).result()
    quoting = command(fake_helm(tmp_path, QUOTES))
    with world.environment.with_time_skipping_disabled():
        async with world.worker(quoting, charts=str(ROOT / "charts")):
            handle = await world.innkeeper.upgrade(name, plan="insisting-careful")
            operation = Followed(world, handle)
            question = await operation.question()
            assert "what I was given is" in question.cause.message
            details = await operation.details()
            assert "what I was given is" in details
            assert told_in(question.model_dump_json() + details, await secrets_of(world.cluster, name)) == []
        async with world.worker():
            await operation.decide(Choice.ABORT)
            result = await failed(handle)
            await demand_untold(world, handle, result, caplog.text)


STORES = (
    "import base64\n"
    "packed = base64.b64encode({told!r}.encode()).decode()\n"
    "sys.stderr.write('Error: what is stored holds ' + {told!r} + ' and ' + packed)\n"
    "sys.exit(1)"
)
"""A Helm that fails and quotes what it finds in its storage."""


async def test_a_helm_that_quotes_what_it_stored_tells_no_secret_when_it_uninstalls(
    idle_world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, name = idle_world, "quoted-stored"
    caplog.set_level(logging.INFO)
    await licence(world)
    async with world.worker():
        await (await world.innkeeper.provision(name, tenant="t1", plan="insisting")).result()
    quoting = STORES.format(told=" ".join(await secrets_of(world.cluster, name)))
    with world.environment.with_time_skipping_disabled():
        async with world.worker(command(fake_helm(tmp_path, quoting)), charts=str(ROOT / "charts")):
            handle = await world.innkeeper.uninstall(name)
            operation = Followed(world, handle)
            question = await operation.question()
            assert "what is stored holds" in question.cause.message
            await operation.decide(Choice.ABORT)
            result = await failed(handle)
            await demand_untold(world, handle, result, caplog.text)


@pytest.mark.parametrize("call", ["prepare cluster.create", "release helm.upgrade", "ready cluster.watch"])
async def test_an_unforeseen_exception_that_quotes_a_secret_tells_none(
    world: World, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    name = "odd-" + call.partition(" ")[0]
    caplog.set_level(logging.INFO)
    await licence(world)
    await (await world.innkeeper.provision(name, tenant="t1", plan="insisting")).result()
    [first, second, *_] = await secrets_of(world.cluster, name)
    await (await world.innkeeper.uninstall(name)).result()
    world.faults.fail(f"{name} {call}", RuntimeError(f"not with {first}, {second} and {TOKEN}"), times=None)
    handle = await world.innkeeper.provision(name, tenant="t1", plan="insisting")
    result = await failed(handle)
    assert result.cause is not None
    assert (result.outcome, result.cause.code) == (Outcome.UNDONE, "Unforeseen")
    await demand_untold(world, handle, result, caplog.text)
