"""Real parts: side by side, one at a time on a directory, back after a crash with all they knew."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from listing import listed
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from innkeeper.embedded import supabase, supervisor
from innkeeper.embedded.apiserver import ApiServer
from innkeeper.embedded.errors import AlreadyRuns, NotReady, PartDied, PlatformError
from innkeeper.embedded.options import Addresses, Options, addresses_of
from innkeeper.embedded.pki import Pki
from innkeeper.embedded.platform import Platform
from innkeeper.model.errors import BadInput

INSTANCE = SearchAttributeKey.for_keyword("InnkeeperInstance")
ROW = {
    "name": "acme",
    "tenant": "t-1",
    "plan": "starter",
    "namespace": "inn-acme",
    "release": "acme",
    "status": "running",
    "settled": "running",
}
ONLY_TEMPORAL = frozenset({"temporal"})


@asynccontextmanager
async def api_of(addresses: Addresses) -> AsyncIterator[ApiServer]:
    assert addresses.kubeconfig is not None
    url = yaml.safe_load(addresses.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    async with ApiServer(url, Pki(addresses.kubeconfig.parent / "pki")) as api:
        yield api


def headers(addresses: Addresses) -> dict[str, str]:
    key = addresses.supabase_service_key
    return {"apikey": key, "Authorization": f"Bearer {key}"}


def readable_by_others(state: Path) -> list[str]:
    return [str(path) for path in state.rglob("*") if path.is_file() and others_reach(path, state)]


def others_reach(path: Path, state: Path) -> bool:
    """Whether every directory down to the file, and the file, is open to somebody else."""
    above = [parent for parent in path.parents if parent.is_relative_to(state)]
    return bool(path.stat().st_mode & 0o044) and all(parent.stat().st_mode & 0o011 for parent in above)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


async def kill_all(pids: list[int]) -> None:
    for pid in pids:
        # The kernel ends children with their parent, and may have been faster.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(alive(pid) for pid in pids):
        await asyncio.sleep(0.02)


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[Path]:
    """A state directory on which nothing is left running."""
    directory = tmp_path / "state"
    yield directory
    await supervisor.down(directory)


async def test_two_clusters_side_by_side_do_not_see_each_other(tmp_path: Path) -> None:
    options = [Options(state_dir=tmp_path / name, parts=frozenset({"kubernetes"})) for name in ("one", "two")]
    one, two = Platform(options[0]), Platform(options[1])
    try:
        await asyncio.gather(one.start(), two.start())
        async with api_of(one.addresses) as first, api_of(two.addresses) as second:
            await first.create("/api/v1/namespaces", {"metadata": {"name": "only-in-one"}})
            assert await first.get("/api/v1/namespaces/only-in-one") is not None
            assert await second.get("/api/v1/namespaces/only-in-one") is None
        await one.stop()
        async with api_of(two.addresses) as second:
            await second.ready()
    finally:
        await asyncio.gather(one.stop(), two.stop())


async def test_after_a_kill_of_everything_the_next_start_has_rows_workflows_and_objects(state: Path) -> None:
    before = await supervisor.up(Options(state_dir=state), print)
    started = supervisor.status(state)
    assert started.running
    assert started.addresses == before == addresses_of(state)
    assert readable_by_others(state) == []

    async with httpx.AsyncClient(headers=headers(before)) as http:
        (await http.post(f"{before.supabase_url}/rest/v1/instances", json=ROW)).raise_for_status()
        assert (await http.get(before.temporal_ui)).status_code == 200
    async with api_of(before) as api:
        await api.create("/api/v1/namespaces", {"metadata": {"name": "acme"}})
    client = await Client.connect(before.temporal_address)
    await client.start_workflow(
        "nobody-runs-it",
        id="instance/acme",
        task_queue="nobody",
        search_attributes=TypedSearchAttributes([SearchAttributePair(INSTANCE, "acme")]),
    )

    assert started.pid is not None
    processes = [started.pid, *children_of(started.pid)]
    assert len(processes) == 8, "a supervisor and seven parts"
    await kill_all(processes)
    after = await supervisor.up(Options(state_dir=state), print)
    assert after == before

    async with httpx.AsyncClient(headers=headers(after)) as http:
        rows = (await http.get(f"{after.supabase_url}/rest/v1/instances?select=name")).json()
    assert rows == [{"name": "acme"}]
    async with api_of(after) as api:
        namespace = await api.get("/api/v1/namespaces/acme")
        assert namespace is not None
        await schedules_pods(api, "acme")
    client = await Client.connect(after.temporal_address)
    assert [run.id for run in await listed(client, "InnkeeperInstance = 'acme'")] == ["instance/acme"]
    assert await supervisor.down(state)
    assert not supervisor.status(state).running
    assert addresses_of(state) is None


async def schedules_pods(api: ApiServer, namespace: str) -> None:
    """The nodes are managed by the kwok that runs now, not by the leases of the one that was killed."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "web", "image": "web"}]}
    await api.create(path, {"metadata": {"name": "web"}, "spec": spec})
    end = time.monotonic() + 90
    while time.monotonic() < end:
        pod = await api.get(f"{path}/web")
        if pod is not None and pod["status"]["phase"] == "Running":
            return
        await asyncio.sleep(0.05)
    pytest.fail("the pod never ran")


async def test_a_second_start_on_the_same_directory_names_the_process_that_runs(state: Path) -> None:
    options = Options(state_dir=state, parts=ONLY_TEMPORAL, temporal_in_memory=True)
    addresses = await supervisor.up(options, print)
    pid = supervisor.status(state).pid
    with pytest.raises(AlreadyRuns, match=f"process {pid}"):
        await supervisor.up(options, print)
    with pytest.raises(AlreadyRuns, match=f"process {pid}"):
        await Platform(options).start()
    assert addresses_of(state) == addresses, "who was refused leaves the addresses alone"
    assert await supervisor.down(state)
    assert not await supervisor.down(state), "nothing ran any more"


async def test_a_part_that_dies_ends_the_platform_and_leaves_word_why(state: Path) -> None:
    options = Options(state_dir=state, parts=ONLY_TEMPORAL, temporal_in_memory=True)
    await supervisor.up(options, print)
    pid = supervisor.status(state).pid
    assert pid is not None
    (temporal,) = children_of(pid)
    os.kill(temporal, signal.SIGKILL)
    while alive(pid):
        await asyncio.sleep(0.05)
    left = supervisor.status(state)
    assert not left.running
    assert left.failure is not None
    assert "temporal was killed by signal 9" in left.failure.message
    assert str(left.logs / "temporal.log") in left.failure.message
    assert "\ntemporal was killed" in (left.logs / "supervisor.log").read_text()
    await supervisor.up(options, print)
    assert supervisor.status(state).failure is None, "the next start has nothing to complain of"


async def test_a_start_that_fails_says_why_and_leaves_nothing_running(state: Path, tmp_path: Path) -> None:
    broken = tmp_path / "temporal"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] && echo 1.9.1 || { echo 'disk on fire'; exit 7; }\n")
    broken.chmod(0o755)
    options = Options(state_dir=state, temporal=broken, parts=ONLY_TEMPORAL)
    with pytest.raises(PlatformError, match=r"temporal ended with exit code 7(.|\n)*disk on fire"):
        await supervisor.up(options, print)
    left = supervisor.status(state)
    assert not left.running
    assert left.failure is not None
    assert left.addresses is None


async def test_a_start_that_is_given_up_stops_what_it_started(state: Path, tmp_path: Path) -> None:
    slow = tmp_path / "temporal"
    slow.write_text(
        f"#!/bin/sh\n[ $1 = --version ] && echo 1.9.1 || {{ echo $$ > {tmp_path}/pid; exec sleep 1000; }}\n"
    )
    slow.chmod(0o755)
    starting = asyncio.create_task(supervisor.up(Options(state_dir=state, temporal=slow, parts=ONLY_TEMPORAL), print))
    pid_file = tmp_path / "pid"
    while not pid_file.exists() or not pid_file.read_text():
        await asyncio.sleep(0.05)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not alive(int(pid_file.read_text()))
    assert not supervisor.status(state).running


async def test_one_part_can_fail_and_come_back_at_its_address(tmp_path: Path) -> None:
    async with Platform(state_dir=tmp_path, parts=ONLY_TEMPORAL) as platform:
        address = platform.addresses.temporal_address
        await platform.stop_part("temporal", crash=True)
        assert platform.pids == {}
        with pytest.raises(RuntimeError, match="Connection refused"):
            await Client.connect(address)
        await platform.start_part("temporal")
        assert platform.addresses.temporal_address == address
        await Client.connect(address)
        os.kill(platform.pids["temporal"], signal.SIGKILL)
        death = await asyncio.wait_for(platform.died(), 60)
        assert isinstance(death, PartDied)
        assert death.cause.object == "temporal"


async def test_a_users_own_parts_are_used_and_never_started(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(json.dumps({"contexts": [{"name": "staging"}, {"name": "prod"}], "current-context": "prod"}))
    async with Platform(state_dir=tmp_path / "theirs", parts=ONLY_TEMPORAL, temporal_in_memory=True) as theirs:
        own = Options(
            state_dir=tmp_path / "mine",
            parts=frozenset({"temporal", "kubernetes"}),
            temporal_address=theirs.addresses.temporal_address,
            kubeconfig=config,
            context="staging",
        )
        async with Platform(own) as platform:
            assert platform.pids == {}
            assert platform.addresses.temporal_address == theirs.addresses.temporal_address
            assert platform.addresses.environment() == {
                "TEMPORAL_ADDRESS": theirs.addresses.temporal_address,
                "TEMPORAL_NAMESPACE": "default",
                "INNKEEPER_KUBECONFIG": str(config),
                "INNKEEPER_KUBE_CONTEXT": "staging",
            }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kubeconfig": "CONFIG"}, "context: None is missing.*staging, prod"),
        ({"kubeconfig": "TEXT", "context": "dev"}, "kubeconfig: '.*' is no kubeconfig"),
        ({"kubeconfig": "CONFIG", "context": "dev"}, "context: 'dev' is not in .*staging, prod"),
        ({"kubeconfig": "/nowhere", "context": "dev"}, "kubeconfig: '/nowhere' cannot be read"),
        ({"context": "dev"}, "context: 'dev' belongs to no kubeconfig"),
        ({"supabase_url": "http://localhost:1"}, "INNKEEPER_SUPABASE_KEY"),
    ],
)
async def test_a_users_own_parts_must_be_named_in_full(given: dict[str, Any], says: str, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(json.dumps({"contexts": [{"name": "staging"}, {"name": "prod"}], "current-context": "prod"}))
    text = tmp_path / "text"
    text.write_text("no kubeconfig at all")
    files = {"CONFIG": str(config), "TEXT": str(text)}
    chosen: dict[str, Any] = {name: files.get(value, value) for name, value in given.items()}
    with pytest.raises(BadInput, match=says):
        await Platform(state_dir=tmp_path / "state", **chosen).start()
    assert not (tmp_path / "state").exists(), "nothing is touched"


async def test_a_part_that_does_not_answer_is_named_with_what_it_said(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 11\r\nConnection: close\r\n\r\nwarming up!")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(NotReady, match=r"reading instances answers 503: warming up!"):
            await supabase.answers(url, "key", timeout=4)
