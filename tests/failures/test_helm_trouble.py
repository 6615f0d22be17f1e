"""Helm itself is in trouble: the trouble is named, and never read as an answer about a release.

The cluster and the rows are in memory, and Helm is a real child process of a real command that misbehaves.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest
from fake_helm import command, fake_helm
from following import Followed, failed
from in_memory import World
from wheel import ROOT

from innkeeper.gateways.helm import HelmCommand
from innkeeper.model.errors import Refused
from innkeeper.model.instance import Status
from innkeeper.model.messages import Choice, OperationResult, Outcome

from ..workflows.agreement import agree, data_of

CHARTS = str(ROOT / "charts")

RENDERS = "print('{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}')"

FETCH_FAILS = (
    "sys.stderr.write('Error: failed to fetch https://charts.example/room-1.0.0.tgz : dial tcp 192.0.2.1:443: "
    "connect: connection refused\\n')\nsys.exit(1)"
)


class Trouble(NamedTuple):
    """What is wrong with Helm, and how it is named."""

    act: str
    code: str
    words: str
    version: str = "v3.17.3"
    plan: str = "quick"
    """Whose deadlines it meets: a busy machine takes a second to start what is not to run into one."""

    def helm(self, folder: Path) -> HelmCommand:
        """A Helm in this trouble; it takes the place of the one in the folder, if there is one."""
        binary = fake_helm(folder, self.act, self.version)
        if self.act == "gone":
            binary.unlink()
        return command(binary)


MISSING = Trouble("gone", "HelmMissing", "INNKEEPER_HELM")
TROUBLES = {
    "missing": MISSING,
    "too-old": Trouble("pass", "HelmVersion", "too old", version="v3.9.4"),
    "hanging": Trouble("time.sleep(1000)", "HelmTooSlow", "was not done within", plan="instant"),
    "killed": Trouble("os.kill(os.getpid(), signal.SIGKILL)", "HelmKilled", "killed by signal 9"),
}
FETCHING = Trouble(FETCH_FAILS, "Unreachable", "cannot be fetched")


async def running(world: World, name: str, plan: str = "quick") -> None:
    """An instance that was made while Helm was well."""
    async with world.worker():
        await (await world.innkeeper.provision(name, tenant="t1", plan=plan)).result()


async def demand_named(world: World, name: str, result: OperationResult, trouble: Trouble) -> None:
    row = await world.row(name)
    assert result.cause is not None
    assert (row.status, row.cause) == (Status.ERROR, result.cause)
    assert result.cause.code == trouble.code
    assert trouble.words in str(result.cause)
    assert result.cause.fix


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_an_uninstall_that_cannot_run_helm_asks_and_never_says_that_the_release_is_gone(
    idle_world: World, tmp_path: Path, trouble: Trouble
) -> None:
    world, name = idle_world, f"helm-{trouble.code.lower()}"
    await running(world, name, trouble.plan)
    data, kinds = await data_of(world, name), await world.kinds(name)
    async with world.worker(trouble.helm(tmp_path)):
        result = await failed(await world.innkeeper.uninstall(name))
        assert result.outcome is Outcome.LEFT_BEHIND
        assert [(each.step, each.choice, each.operator) for each in result.decisions] == [
            ("uninstall", Choice.ABORT, "deadline")
        ]
        await demand_named(world, name, result, trouble)
        assert await world.storage(name) == ["deployed"]
        assert await world.kinds(name) == kinds
    async with world.worker():
        assert (await (await world.innkeeper.uninstall(name)).result()).status is Status.UNINSTALLED
        await agree(world, name, Status.UNINSTALLED)
        assert await data_of(world, name) == data


async def test_a_helm_that_is_installed_again_lets_a_parked_uninstall_go_on(idle_world: World, tmp_path: Path) -> None:
    world, name = idle_world, "helm-back"
    await running(world, name)
    async with world.worker(MISSING.helm(tmp_path)):
        with world.environment.with_time_skipping_disabled():
            handle = await world.innkeeper.uninstall(name)
        operation = Followed(world, handle)
        assert (await operation.question()).cause.code == "HelmMissing"
        assert (await world.row(name)).status is Status.UNINSTALLING
        assert await world.storage(name) == ["deployed"]
    async with world.worker():
        await operation.decide(Choice.RETRY, "installed again")
        assert (await handle.result()).status is Status.UNINSTALLED
        await agree(world, name, Status.UNINSTALLED)


@pytest.mark.parametrize(
    "trouble", [MISSING, TROUBLES["too-old"], TROUBLES["killed"], FETCHING], ids=lambda trouble: trouble.code
)
async def test_a_provision_is_refused_before_anything_is_touched_where_its_chart_cannot_be_rendered(
    idle_world: World, tmp_path: Path, trouble: Trouble
) -> None:
    world = idle_world
    async with world.worker(trouble.helm(tmp_path), charts=CHARTS):
        with pytest.raises(Refused) as told:
            await (await world.innkeeper.provision("helm-check", tenant="t1", plan=trouble.plan)).result()
    assert told.value.cause.code == trouble.code
    assert trouble.words in str(told.value.cause)
    assert await world.database.instance("helm-check") is None
    assert await world.namespace("helm-check") is None


@pytest.mark.parametrize("trouble", [*TROUBLES.values(), FETCHING], ids=[*TROUBLES, "repository-down"])
async def test_a_provision_whose_helm_gets_into_trouble_after_the_check_is_undone_with_the_trouble_named(
    idle_world: World, tmp_path: Path, trouble: Trouble
) -> None:
    world, name = idle_world, f"helm-late-{trouble.code.lower()}"
    helm = command(fake_helm(tmp_path, RENDERS))
    hang = world.faults.hang(f"{name} prepare *")
    async with world.worker(helm, charts=CHARTS):
        handle = await world.innkeeper.provision(name, tenant="t1", plan=trouble.plan)
        async with asyncio.timeout(60):
            await hang.reached.wait()
        trouble.helm(tmp_path)
        hang.release()
        result = await failed(handle)
        assert result.outcome is Outcome.UNDONE
        await demand_named(world, name, result, trouble)
        assert await world.storage(name) == []
        assert not {"Deployment", "Pod"} & await world.kinds(name)


async def test_stop_start_and_restart_need_no_helm(idle_world: World, tmp_path: Path) -> None:
    world = idle_world
    await running(world, "helm-less")
    before = await world.replicas("helm-less")
    async with world.worker(MISSING.helm(tmp_path)):
        await (await world.innkeeper.stop("helm-less")).result()
        await agree(world, "helm-less", Status.STOPPED)
        await (await world.innkeeper.start("helm-less")).result()
        await (await world.innkeeper.restart("helm-less")).result()
        await agree(world, "helm-less", Status.RUNNING)
    assert await world.replicas("helm-less") == before
