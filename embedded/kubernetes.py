"""A Kubernetes cluster on this machine: the real control plane, and simulated nodes that run nothing.

Everything that decides is the real thing (admission, quota, Pod Security, scheduling, controllers); only what a node's
kubelet would do is played, by the stages in `stages`.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from pathlib import Path

import yaml

from . import pki as pkis
from . import stages
from .apiserver import ApiServer, Object
from .files import private_directory, write_private
from .parts import Part
from .pki import Pki
from .ports import LOOPBACK, Ports
from .processes import Child
from .toolchain import ControlPlane
from .waiting import NotYet, until

CONTEXT = "innkeeper"
NODES = ("node-1", "node-2")
SERVICE_RANGE = "10.96.0.0/16"
STARTS_WITHIN = 90.0
"""Seconds; 5 on an idle machine with two cores."""


class Kubernetes(Part):
    """etcd, API server, controller manager, scheduler and kwok, with two nodes and a default storage class."""

    name = "kubernetes"

    def __init__(self, directory: Path, logs: Path, ports: Ports, programs: ControlPlane) -> None:
        super().__init__(logs)
        self._directory = directory
        self._ports = ports
        self._programs = programs

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, whose one context is `CONTEXT`."""
        return self._directory / "kubeconfig"

    async def _start(self) -> None:
        private_directory(self._directory)
        pki = await asyncio.to_thread(pkis.ensure, self._directory / "pki")
        url = f"https://{LOOPBACK}:{self._ports.take('kubernetes')}"
        write_private(self.kubeconfig, kubeconfig(url, pki))
        etcd_url = f"https://{LOOPBACK}:{self._ports.take('etcd')}"
        await self._run("etcd", _etcd(private_directory(self._directory / "etcd"), etcd_url, pki))
        server = await self._run("kube-apiserver", _apiserver(self._ports.take("kubernetes"), etcd_url, pki))
        async with ApiServer(url, pki) as api:
            await server.while_alive(until("the Kubernetes API server", api.ready, timeout=STARTS_WITHIN))
            await self._start_controllers(api, pki)

    async def _start_controllers(self, api: ApiServer, pki: Pki) -> None:
        controllers = await self._run("kube-controller-manager", _controller_manager(self.kubeconfig, pki))
        scheduler = await self._run("kube-scheduler", _scheduler(self.kubeconfig))
        await _prepare(api)
        behaviour = self._directory / "kwok.yaml"
        write_private(behaviour, stages.documents())
        kwok = await self._run("kwok", _kwok(self.kubeconfig, behaviour))
        await controllers.while_alive(
            scheduler.while_alive(kwok.while_alive(asyncio.gather(_nodes_ready(api), _namespaces_end(api))))
        )

    async def _run(self, program: str, flags: list[str]) -> Child:
        argv = [*self._programs.argv(program), *flags]
        return self._own(await Child.start(program, argv, log=self.log(program), cwd=self._directory))


def kubeconfig(url: str, pki: Pki) -> str:
    """A kubeconfig for the administrator, with the certificates inside."""

    def inline(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    cluster = {"server": url, "certificate-authority-data": inline(pki.ca)}
    user = {
        "client-certificate-data": inline(pki.certificate("admin")),
        "client-key-data": inline(pki.key("admin")),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": CONTEXT, "user": user}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
            "current-context": CONTEXT,
        },
        sort_keys=False,
    )


def _etcd(data: Path, url: str, pki: Pki) -> list[str]:
    data.chmod(0o700)
    return [
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        # A cluster of one talks to no peer: any port will do, and none is remembered.
        f"--listen-peer-urls=http://{LOOPBACK}:0",
        f"--cert-file={pki.certificate('etcd-server')}",
        f"--key-file={pki.key('etcd-server')}",
        f"--trusted-ca-file={pki.etcd_ca}",
        "--client-cert-auth",
        # Survives the death of every process; only a power cut may cost the last seconds.
        "--unsafe-no-fsync",
        "--log-level=error",
    ]


def _apiserver(port: int, etcd_url: str, pki: Pki) -> list[str]:
    return [
        f"--etcd-servers={etcd_url}",
        f"--etcd-cafile={pki.etcd_ca}",
        f"--etcd-certfile={pki.certificate('etcd-client')}",
        f"--etcd-keyfile={pki.key('etcd-client')}",
        f"--secure-port={port}",
        f"--bind-address={LOOPBACK}",
        # No pod ever calls in, and a machine without network has no other address to advertise.
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={pki.certificate('apiserver')}",
        f"--tls-private-key-file={pki.key('apiserver')}",
        f"--client-ca-file={pki.ca}",
        f"--service-account-key-file={pki.service_account_public_key}",
        f"--service-account-signing-key-file={pki.key('service-account')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=RBAC",
        "--allow-privileged",
        "--profiling=false",
    ]


def _controller_manager(config: Path, pki: Pki) -> list[str]:
    return [
        f"--kubeconfig={config}",
        f"--service-account-private-key-file={pki.key('service-account')}",
        f"--root-ca-file={pki.ca}",
        # New nodes lose their not-ready taint at this controller's next look: 5 s by default, most of a start.
        "--node-monitor-period=500ms",
        # Emptying a namespace is a hundred lists, most of which wait up to 0.1 s for the API server's cache to be told
        # that nothing happened. With the ten at once by default a namespace waited for minutes where fifty went.
        "--concurrent-namespace-syncs=50",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]


def _scheduler(config: Path) -> list[str]:
    return [
        f"--kubeconfig={config}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]


def _kwok(config: Path, behaviour: Path) -> list[str]:
    # Port 0: nothing asks the simulated kubelets for logs, and a fixed port would be shared by all platforms.
    return [
        f"--kubeconfig={config}",
        f"--config={behaviour}",
        "--manage-all-nodes=true",
        "--node-lease-duration-seconds=40",
        "--node-port=0",
    ]


async def _prepare(api: ApiServer) -> None:
    """What the nodes need before kwok starts: leases of a kwok that was killed would keep the new one out for 40 s."""

    async def leases_can_be_written() -> None:
        if await api.get("/api/v1/namespaces/kube-node-lease") is None:
            raise NotYet("the namespace kube-node-lease is not there")

    await until("the API server's own namespaces", leases_can_be_written, timeout=STARTS_WITHIN)
    for node in NODES:
        await api.delete(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}")
        await api.create("/api/v1/nodes", _node(node))
    await api.create("/apis/storage.k8s.io/v1/storageclasses", _storage_class())


async def _nodes_ready(api: ApiServer) -> None:
    async def ask() -> None:
        for node in NODES:
            lease = await api.get(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}")
            if lease is None:
                raise NotYet(f"kwok does not hold the lease of {node}")
            found = await api.get(f"/api/v1/nodes/{node}")
            if found is None or not _is_ready(found):
                raise NotYet(f"{node} is not Ready")

    await until("the nodes", ask, timeout=STARTS_WITHIN)


async def _namespaces_end(api: ApiServer) -> None:
    """Proof that the controllers work: a namespace gets its service account and, once deleted, goes away."""
    name = f"innkeeper-probe-{secrets.token_hex(4)}"
    path = f"/api/v1/namespaces/{name}"
    await api.create("/api/v1/namespaces", {"metadata": {"name": name}})

    async def has_service_account() -> None:
        if await api.get(f"{path}/serviceaccounts/default") is None:
            raise NotYet(f"namespace {name} has no service account")

    async def is_gone() -> None:
        if await api.get(path) is not None:
            raise NotYet(f"namespace {name} is still there")

    await until("the service account controller", has_service_account, timeout=STARTS_WITHIN)
    await api.delete(path)
    await until("the namespace controller", is_gone, timeout=STARTS_WITHIN)


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions) and not any(
        taint["key"] == "node.kubernetes.io/not-ready" for taint in node.get("spec", {}).get("taints", [])
    )


def _node(name: str) -> Object:
    return {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/worker": "",
            },
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        }
    }


def _storage_class() -> Object:
    return {
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": stages.PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
