"""A Helm that stays does one call after another, and goes with whatever went wrong in it."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from fake_helm import SECRET, WISH, command, ended, fake_helm, lives, noted
from helm_stage import residents

from innkeeper.embedded.options import Addresses
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.helm_child import LimitReached
from innkeeper.gateways.helm_resident import ABOUT, Residents
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import Pending, ReleaseFailed, Unreachable
from innkeeper.model.manifests import read_yaml
from innkeeper.model.ports import Ref, Release

VERSION = "v3.21.4 resident"

SERVES = """
import json
for count, line in enumerate(sys.stdin, 1):
    call = json.loads(line)
    code = err = ''
    note('argv', sys.argv)
    note('call', line)
    note(f'calls-{{os.getpid()}}', count)
    {does}
    print(json.dumps({{'code': code or 0, 'out': '', 'err': err}}), flush=True)
"""

Serving = Callable[..., Path]


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """A Helm that stays and does this in each call."""

    def made(does: str = "pass", version: str = VERSION) -> Path:
        return fake_helm(tmp_path, SERVES.format(does=does), version)

    return made


@pytest.fixture
async def commands() -> AsyncIterator[Callable[..., HelmCommand]]:
    """Makes gateways, and closes them."""
    made: list[HelmCommand] = []

    def make(binary: Path, **more: object) -> HelmCommand:
        made.append(command(binary, **more))
        return made[-1]

    yield make
    for helm in made:
        await helm.aclose()


def calls(folder: Path) -> dict[int, int]:
    """The processes that there were, and how many calls each did."""
    return {int(each.name.rpartition("-")[2]): int(each.read_text()) for each in folder.glob("calls-*")}


Commands = Callable[..., HelmCommand]


async def test_one_process_does_one_call_after_another_and_no_value_is_in_its_arguments(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    helm = commands(serving(), slots=4)
    for _ in range(3):
        await helm.upgrade(WISH, limit=60)
    ((pid, count),) = calls(tmp_path).items()
    assert count == 3
    assert "'resident']" in await noted(tmp_path, "argv")
    assert SECRET.encode() not in (Path(f"/proc/{pid}") / "cmdline").read_bytes()
    assert SECRET.encode() not in (Path(f"/proc/{pid}") / "environ").read_bytes()
    assert b"GOGC=" not in (Path(f"/proc/{pid}") / "environ").read_bytes(), "that is for a Helm that is over soon"


async def test_a_call_has_the_words_and_the_values_that_a_helm_of_its_own_would_have(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    does = "note('stdin', call['stdin']); note('words', ' '.join(call['args']))"
    await commands(serving(does)).upgrade(WISH, limit=60, acting_as="innkeeper:inn-acme:1:0a")
    words = await noted(tmp_path, "words")
    assert words.startswith("upgrade --install acme /charts/room --values - ")
    assert words.endswith(
        "--namespace inn-acme --kubeconfig /kube/config --kube-context here --kube-as-user innkeeper:inn-acme:1:0a"
    )
    assert read_yaml(await noted(tmp_path, "stdin")) == {"shown": {"a": 1, "b": SECRET}}


async def test_calls_side_by_side_have_a_process_each(serving: Serving, commands: Commands, tmp_path: Path) -> None:
    does = "note(f'in-{os.getpid()}', 1)\n    while len(glob.glob(f'{folder}/in-*')) < 2: time.sleep(0.02)"
    helm = commands(serving(f"import glob\n    {does}"), slots=2)
    await asyncio.gather(helm.upgrade(WISH, limit=60), helm.upgrade(WISH, limit=60))
    assert sorted(calls(tmp_path).values()) == [1, 1]
    await asyncio.gather(helm.upgrade(WISH, limit=60), helm.upgrade(WISH, limit=60))
    assert sum(calls(tmp_path).values()) == 4
    assert len(calls(tmp_path)) == 2


async def test_one_that_reported_a_failure_is_not_used_again(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    helm = commands(serving("code, err = 1, 'Error: UPGRADE FAILED: the chart says no'"))
    for _ in range(2):
        with pytest.raises(ReleaseFailed, match="Helm: the chart says no"):
            await helm.upgrade(WISH, limit=60)
    assert list(calls(tmp_path).values()) == [1, 1]
    assert not any(lives(pid) for pid in calls(tmp_path))


async def test_a_limit_ends_the_process_and_the_next_call_has_another(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    hangs_once = "if not os.path.exists(f'{folder}/hung'):\n        note('hung', 1); time.sleep(600)"
    helm = commands(serving(hangs_once), grace=0.3)
    with pytest.raises(Pending, match="was not done within 6 s"):
        await helm.upgrade(WISH, limit=6)
    (hung,) = calls(tmp_path)
    assert not lives(hung)
    await helm.upgrade(WISH, limit=60)
    assert len(calls(tmp_path)) == 2


async def test_a_cancel_ends_the_process_and_what_it_started(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    child = "note('child', subprocess.Popen([sys.executable, '-ISc', 'import time; time.sleep(600)']).pid)"
    running = asyncio.create_task(commands(serving(f"{child}; time.sleep(600)"), grace=0.3).upgrade(WISH, limit=60))
    started = int(await noted(tmp_path, "child"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await ended(started)
    assert not any(lives(pid) for pid in calls(tmp_path))


async def test_one_that_is_killed_in_the_middle_is_told_as_such(serving: Serving, commands: Commands) -> None:
    with pytest.raises(Unreachable, match="killed by signal 9"):
        await commands(serving("os.kill(os.getpid(), 9)")).upgrade(WISH, limit=60)


async def test_one_that_ends_in_the_middle_is_told_by_its_last_words(serving: Serving, commands: Commands) -> None:
    ends = "sys.stderr.write('Error: no such driver'); sys.exit(3)"
    with pytest.raises(ReleaseFailed, match="no such driver"):
        await commands(serving(ends)).upgrade(WISH, limit=60)


async def test_one_that_died_while_it_had_nothing_to_do_is_replaced(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    helm = commands(serving())
    await helm.upgrade(WISH, limit=60)
    (first,) = calls(tmp_path)
    os.kill(first, signal.SIGKILL)
    await ended(first)
    await helm.upgrade(WISH, limit=60)
    assert len(calls(tmp_path)) == 2


async def test_one_that_says_that_this_was_its_last_call_is_not_used_again(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    helm = commands(
        serving("print(json.dumps({'code': 0, 'out': '', 'err': '', 'last': True}), flush=True); sys.exit()")
    )
    for _ in range(2):
        await helm.upgrade(WISH, limit=60)
    assert list(calls(tmp_path).values()) == [1, 1]


async def test_one_that_goes_without_an_answer_was_ended_by_somebody(serving: Serving, commands: Commands) -> None:
    with pytest.raises(Unreachable, match="killed by signal 15"):
        await commands(serving("sys.exit(0)")).upgrade(WISH, limit=60)


async def test_what_one_said_before_is_not_told_of_a_later_call(serving: Serving, commands: Commands) -> None:
    says = "sys.stderr.write(f'Error: word {count}'); sys.stderr.flush()\n    if count == 2: sys.exit(3)"
    helm = commands(serving(says))
    await helm.upgrade(WISH, limit=60)
    with pytest.raises(ReleaseFailed, match="word 2") as failed:
        await helm.upgrade(WISH, limit=60)
    assert "word 1" not in failed.value.cause.message


async def test_a_gateway_that_was_closed_keeps_nothing_of_a_call_that_went_on(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    helm = commands(serving("note('begun', 1)\n    while not os.path.exists(f'{folder}/go'): time.sleep(0.02)"))
    running = asyncio.create_task(helm.upgrade(WISH, limit=60))
    await noted(tmp_path, "begun")
    await helm.aclose()
    (tmp_path / "go").touch()
    await running
    assert not any(lives(pid) for pid in calls(tmp_path))


async def test_another_helm_in_its_place_takes_over_with_the_next_call(
    serving: Serving, commands: Commands, tmp_path: Path
) -> None:
    helm = commands(serving())
    await helm.upgrade(WISH, limit=60)
    (first,) = calls(tmp_path)
    os.utime(serving(), (1, 1))
    await helm.upgrade(WISH, limit=60)
    assert len(calls(tmp_path)) == 2
    assert not lives(first)
    fake_helm(tmp_path, "note('argv', sys.argv[1:])", "v3.17.3")
    os.utime(tmp_path / "helm", (2, 2))
    await helm.upgrade(WISH, limit=60)
    assert (await noted(tmp_path, "argv")).startswith("['upgrade'")


async def test_one_goes_after_so_many_calls_and_when_nobody_needs_it(serving: Serving, tmp_path: Path) -> None:
    binary = str(serving())
    residents = Residents({"PATH": os.environ["PATH"]}, grace=5, uses=2, idle=600)
    for _ in range(3):
        await residents.run(binary, ["list"], limit=60, stdin=b"")
    assert sorted(calls(tmp_path).values()) == [1, 2]
    await residents.aclose()
    assert not any(lives(pid) for pid in calls(tmp_path))
    impatient = Residents({"PATH": os.environ["PATH"]}, grace=5, idle=0.1)
    await impatient.run(binary, ["list"], limit=60, stdin=b"")
    for pid in calls(tmp_path):
        await ended(pid)
    await impatient.aclose()


async def test_a_limit_is_told_to_who_asked(serving: Serving) -> None:
    residents = Residents({"PATH": os.environ["PATH"]}, grace=0.3)
    with pytest.raises(LimitReached):
        await residents.run(str(serving("time.sleep(600)")), ["list"], limit=3, stdin=b"")


async def test_the_built_one_ends_at_once_where_it_has_nothing_to_note(resident_helm: Path, tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    residents = Residents({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, grace=60)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server, asyncio.timeout(50):
        repository = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(LimitReached):
            await residents.run(
                str(resident_helm), ["template", "acme", "room", "--repo", repository], limit=3, stdin=b""
            )


async def test_the_built_one_is_helm_where_nobody_asks_it_to_stay(resident_helm: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        resident_helm, "version", "--template", ABOUT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said.decode() == VERSION
    unknown = await asyncio.create_subprocess_exec(resident_helm, "stay", stderr=asyncio.subprocess.PIPE)
    _, why = await unknown.communicate()
    assert unknown.returncode == 1
    assert 'unknown command "stay" for "helm"' in why.decode()


GROUP = "tests.innkeeper.example"


@pytest.fixture
async def new_kind(addresses: Addresses) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Makes a kind that the API server did not know."""
    kind = f"Thing{secrets.token_hex(3)}"
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object"}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    async with await KubernetesCluster.connect(addresses.kubeconfig, addresses.context) as cluster:

        async def make() -> str:
            await cluster.create(definition)
            async with asyncio.timeout(60):
                while await cluster.is_namespaced(f"{GROUP}/v1", kind) is None:
                    await asyncio.sleep(0.1)
            return kind

        yield make
        if found := await cluster.get(Ref.to(definition)):
            await cluster.delete(Ref.to(definition), uid=found["metadata"]["uid"])


async def test_a_kind_that_came_after_the_first_call_is_known_to_the_next(
    resident_helm: Path, addresses: Addresses, new_kind: Callable[[], Awaitable[str]], tmp_path: Path
) -> None:
    helm = HelmCommand(binary=resident_helm, kubeconfig=addresses.kubeconfig, context=addresses.context, slots=1)
    home = f"inn-{secrets.token_hex(4)}"
    chart = tmp_path / "thing"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: thing\nversion: 0.1.0\n")
    wanted = Release(name="acme", namespace=home, chart=ChartRef(path=str(chart)), values={}, mark="m1")
    async with await KubernetesCluster.connect(addresses.kubeconfig, addresses.context) as cluster:
        made = await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}})
        meta = "metadata: {name: one}"
        (chart / "templates" / "some.yaml").write_text(f"apiVersion: v1\nkind: ConfigMap\n{meta}\n")
        await helm.upgrade(wanted, limit=60)
        kind = await new_kind()
        (chart / "templates" / "some.yaml").write_text(f"apiVersion: {GROUP}/v1\nkind: {kind}\n{meta}\n")
        await helm.upgrade(wanted, limit=60)
        assert await cluster.get(Ref(f"{GROUP}/v1", kind, "one", home)) is not None
        await helm.rollback("acme", home, 1, limit=60)
        assert await cluster.get(Ref(f"{GROUP}/v1", kind, "one", home)) is None
        await helm.uninstall("acme", home, limit=60)
        await cluster.delete(Ref.to(made), uid=made["metadata"]["uid"])
    assert len(residents()) == 1, "all of that was done by one process"
    await helm.aclose()
