"""What the cluster's gateway makes of answers that no healthy API server gives on demand, and of its settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.kubernetes_watch import Pace
from innkeeper.model.errors import BadInput, Conflict, Forbidden, InnkeeperError, Permanent, Unreachable
from innkeeper.model.ports import Manifest, Ref, Watch

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONFIG_MAP = Ref("v1", "ConfigMap", "settings", "inn-a")
KINDS = {
    "resources": [
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
        {"name": "secrets", "kind": "Secret", "namespaced": True},
        {"name": "pods", "kind": "Pod", "namespaced": True},
        {"name": "pods/log", "kind": "Pod", "namespaced": True},
    ]
}


class Told:
    """An API server that answers as it is told; it knows its kinds."""

    def __init__(self) -> None:
        self.answer: Handler = self._nothing
        self.requests: list[web.Request] = []

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "message": "nothing is told"}, status=500)

    def says(self, status: int, body: Manifest | str, **headers: str) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            text = body if isinstance(body, str) else json.dumps(body)
            return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.requests.append(request)
        if request.path == "/api/v1":
            return web.json_response(KINDS)
        return await self.answer(request)


@pytest.fixture
async def told() -> AsyncIterator[tuple[Told, int]]:
    server = Told()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield server, runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
def server(told: tuple[Told, int]) -> Told:
    return told[0]


@pytest.fixture
async def cluster(told: tuple[Told, int], tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    kubeconfig = write_kubeconfig(tmp_path, f"http://127.0.0.1:{told[1]}", "only")
    pace = Pace(patience=3.0)
    async with await KubernetesCluster.connect(kubeconfig, timeout=30.0, pace=pace) as connected:
        yield connected


def write_kubeconfig(folder: Path, server: str, *contexts: str, **user: Any) -> Path:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "t0ken", **user}}],
        "contexts": [{"name": name, "context": {"cluster": "here", "user": "me"}} for name in contexts],
        "current-context": contexts[0] if contexts else "",
    }
    path.write_text(yaml.safe_dump(content))
    return path


async def lost(watch: Watch, *, within: float) -> None:
    """Wait for changes until there is an error."""
    async with asyncio.timeout(within):
        while True:
            watch.objects()
            await watch.changed()


def config_map(kind: str = "ConfigMap") -> Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "settings", "namespace": "inn-a"}}


def status(message: str, reason: str = "", *causes: dict[str, str]) -> Manifest:
    return {"kind": "Status", "message": message, "reason": reason, "details": {"causes": list(causes)}}


@pytest.mark.parametrize(
    ("code", "body", "error", "named"),
    [
        (400, status("wrong", "BadRequest"), Permanent, "Invalid"),
        (401, status("Unauthorized", "Unauthorized"), Forbidden, "Unauthorized"),
        (403, status("configmaps is forbidden: User cannot", "Forbidden"), Forbidden, "Forbidden"),
        (403, status("exceeded quota: plan, requested: pods=1", "Forbidden"), Forbidden, "QuotaExceeded"),
        (403, status('violates PodSecurity "baseline"', "Forbidden"), Forbidden, "PodSecurity"),
        (
            403,
            status("being terminated", "Forbidden", {"reason": "NamespaceTerminating"}),
            Conflict,
            "NamespaceTerminating",
        ),
        (405, status("not allowed", "MethodNotAllowed"), Permanent, "Invalid"),
        (409, status("modified", "Conflict"), Conflict, "Conflict"),
        (422, status("invalid", "Invalid"), Permanent, "Invalid"),
        (422, status("immutable", "Invalid", {"field": "metadata.uid"}), Conflict, "Conflict"),
        (429, status("too many", "TooManyRequests"), Unreachable, "Unreachable"),
        (500, "it burns", Unreachable, "Unreachable"),
        (503, status("down", "ServiceUnavailable"), Unreachable, "Unreachable"),
        (200, "not JSON at all", Unreachable, "NotAnApiServer"),
    ],
)
async def test_each_refusal_has_its_error(
    cluster: KubernetesCluster, server: Told, code: int, body: Manifest | str, error: type[InnkeeperError], named: str
) -> None:
    server.says(code, body)
    with pytest.raises(error) as refused:
        await cluster.create(config_map())
    assert refused.value.cause.code == named
    assert refused.value.cause.object == str(CONFIG_MAP)
    assert refused.value.cause.message


async def test_the_servers_wish_when_to_come_again_is_kept(cluster: KubernetesCluster, server: Told) -> None:
    server.says(429, status("too many"), Retry_After="7")
    with pytest.raises(Unreachable) as refused:
        await cluster.get(CONFIG_MAP)
    assert refused.value.retry_after == 7.0


async def test_long_answers_are_capped(cluster: KubernetesCluster, server: Told) -> None:
    server.says(422, status("word " * 10_000))
    with pytest.raises(Permanent) as refused:
        await cluster.create(config_map())
    assert len(str(refused.value)) < 1_500


@pytest.mark.parametrize("code", [400, 422, 500])
async def test_what_is_wrong_with_a_secret_is_told_by_its_fields_only(
    cluster: KubernetesCluster, server: Told, code: int
) -> None:
    server.says(code, status('data: Invalid value: "hunter2"', "Invalid", {"field": "data[a]", "reason": "Bad"}))
    with pytest.raises(InnkeeperError, match=r"data\[a\]") as refused:
        await cluster.create(config_map("Secret"))
    assert "hunter2" not in str(refused.value)
    server.says(code, status('cannot convert "hunter2"', "BadRequest"))
    with pytest.raises(InnkeeperError) as refused:
        await cluster.apply(config_map("Secret"))
    assert "hunter2" not in str(refused.value)


async def test_a_server_that_does_not_answer_in_time_is_named_with_the_setting(
    told: tuple[Told, int], tmp_path: Path
) -> None:
    server, port = told
    kubeconfig = write_kubeconfig(tmp_path, f"http://127.0.0.1:{port}", "only")

    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    server.answer = never
    async with await KubernetesCluster.connect(kubeconfig, timeout=1.0) as cluster:
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:\d+ .*within 1 s.*INNKEEPER_KUBECONFIG"):
            await cluster.get(CONFIG_MAP)


async def test_a_server_that_hangs_up_is_unreachable(cluster: KubernetesCluster, server: Told) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    server.answer = hang_up
    with pytest.raises(Unreachable):
        await cluster.create(config_map())


async def test_long_lists_are_read_page_by_page_and_anew_where_they_grew_too_old(
    cluster: KubernetesCluster, server: Told
) -> None:
    pages = [
        web.json_response({"metadata": {"continue": "second"}, "items": [{"metadata": {"name": "a"}}]}),
        web.json_response(status("expired", "Expired"), status=410),
        web.json_response({"metadata": {"continue": "second"}, "items": [{"metadata": {"name": "a"}}]}),
        web.json_response({"metadata": {}, "items": [{"metadata": {"name": "b"}}]}),
    ]

    async def next_page(request: web.Request) -> web.StreamResponse:
        return pages.pop(0)

    server.answer = next_page
    found = await cluster.list_objects("v1", "ConfigMap", namespace="inn-a", labels={"a": "b", "c": "d"})
    assert [(one["kind"], one["metadata"]["name"]) for one in found] == [("ConfigMap", "a"), ("ConfigMap", "b")]
    queries = [request.query for request in server.requests if request.path != "/api/v1"]
    assert [query.get("continue") for query in queries] == [None, "second", None, "second"]
    assert {query["labelSelector"] for query in queries} == {"a=b,c=d"}


async def test_kinds_are_asked_for_once_and_unknown_ones_again(cluster: KubernetesCluster, server: Told) -> None:
    server.says(404, status("not found", "NotFound"))
    for _ in range(3):
        assert await cluster.get(CONFIG_MAP) is None
    assert sum(request.path == "/api/v1" for request in server.requests) == 1
    for _ in range(2):
        assert await cluster.is_namespaced("v1", "Guest") is None
    assert sum(request.path == "/api/v1" for request in server.requests) == 3


async def test_every_request_carries_the_token_and_a_write_its_manager(
    cluster: KubernetesCluster, server: Told
) -> None:
    server.says(200, config_map())
    await cluster.apply(config_map())
    await cluster.create(config_map(), dry_run=True)
    await cluster.patch(CONFIG_MAP, {"data": {}})
    await cluster.delete(CONFIG_MAP, uid="1234")
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer t0ken"}
    _, apply, create, patch, delete = server.requests
    assert dict(apply.query) == {"fieldManager": "innkeeper", "force": "true"}
    assert apply.headers["Content-Type"] == "application/apply-patch+yaml"
    assert dict(create.query) == {"fieldManager": "innkeeper", "dryRun": "All", "fieldValidation": "Strict"}
    assert patch.headers["Content-Type"] == "application/merge-patch+json"
    options = await delete.json()
    assert (options["preconditions"], options["propagationPolicy"]) == ({"uid": "1234"}, "Background")


async def test_a_history_that_the_server_forgot_is_read_anew(cluster: KubernetesCluster, server: Told) -> None:
    forgotten = asyncio.Event()
    watched = {"Deployment"}

    async def answer(request: web.Request) -> web.StreamResponse:
        version = "20" if forgotten.is_set() else "10"
        if "watch" not in request.query:
            names = ["old"] if version == "10" else ["new"]
            items = [{"metadata": {"name": n, "uid": n, "namespace": "inn-a", "resourceVersion": "9"}} for n in names]
            inside = items if request.path.endswith("namespaces/inn-a/deployments") else []
            return web.json_response({"metadata": {"resourceVersion": version}, "items": inside})
        response = web.StreamResponse()
        await response.prepare(request)
        if request.path.endswith("/deployments") and watched:
            await forgotten.wait()
            watched.clear()
            gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}
            await response.write(json.dumps(gone).encode() + b"\n")
            return response
        await asyncio.sleep(0.5)
        return response

    server.answer = answer
    async with cluster.watch("inn-a") as watch:
        assert [one["metadata"]["name"] for one in watch.objects()] == ["old"]
        forgotten.set()
        async with asyncio.timeout(60):
            while [one["metadata"]["name"] for one in watch.objects()] != ["new"]:
                await watch.changed()


async def test_a_watch_that_is_not_allowed_says_so_at_once(cluster: KubernetesCluster, server: Told) -> None:
    server.says(403, status("User cannot list pods at the cluster scope", "Forbidden"))
    with pytest.raises(Forbidden, match="of all namespaces"):
        async with cluster.watch("inn-a"):
            pass


async def test_a_watch_whose_right_was_taken_away_says_so_after_a_while(
    cluster: KubernetesCluster, server: Told
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return web.json_response(status("User cannot watch", "Forbidden"), status=403)
        return web.json_response({"metadata": {"resourceVersion": "10"}, "items": []})

    server.answer = answer
    async with cluster.watch("inn-a") as watch:
        with pytest.raises(Unreachable, match="User cannot watch"):
            await lost(watch, within=60)


async def test_no_cluster_is_used_by_accident(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="INNKEEPER_KUBECONFIG"):
        await KubernetesCluster.connect(None)
    with pytest.raises(BadInput, match="in_cluster"):
        await KubernetesCluster.connect(tmp_path / "kubeconfig", in_cluster=True)
    with pytest.raises(BadInput, match="INNKEEPER_KUBECONFIG"):
        await KubernetesCluster.connect(None, in_cluster=True)


async def test_the_current_context_of_a_kubeconfig_is_never_chosen_by_itself(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, "http://127.0.0.1:1", "staging", "production")
    with pytest.raises(BadInput, match="staging, production"):
        await KubernetesCluster.connect(path)
    with pytest.raises(BadInput, match="staging, production"):
        await KubernetesCluster.connect(path, "prod")
    await (await KubernetesCluster.connect(path, "production")).close()


@pytest.mark.parametrize("text", ["", "a: [", "just words", "contexts: 7", "clusters: []\ncontexts: [{name: a}]"])
async def test_a_file_that_is_no_kubeconfig_is_bad_input(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(BadInput, match="INNKEEPER_KUBECONFIG"):
        await KubernetesCluster.connect(path)
    with pytest.raises(BadInput, match="INNKEEPER_KUBECONFIG"):
        await KubernetesCluster.connect(tmp_path / "missing")
