"""What somebody has who has no Innkeeper: scripts with a namespace, a Secret and bare Helm."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

from innkeeper.embedded.options import Addresses
from innkeeper.gateways.helm import find_helm
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.ports import Manifest, Ref
from innkeeper.model.release import State, revisions_of, storage_labels

ROOM = Path(__file__).parents[2] / "charts" / "room"
SECRET = "room-credentials"
GUEST = {"spec": {"restartPolicy": "Never", "containers": [{"name": "guest", "image": "example/guest:1"}]}}
PASSWORD = base64.b64encode(b"somebodys-own").decode()


class Scripts:
    """Somebody's own scripts: a namespace, a Secret and bare Helm."""

    def __init__(self, cluster: KubernetesCluster, addresses: Addresses, namespace: str) -> None:
        self._cluster = cluster
        self._addresses = addresses
        self.namespace = namespace

    async def install(self, release: str, *values: str) -> None:
        """What a script does; returns when the pods are ready."""
        await self._cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        meta = {"name": SECRET, "namespace": self.namespace}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"password": PASSWORD}}
        await self._cluster.create(secret)
        words = [str(find_helm()), "install", release, str(ROOM), "--wait", "--timeout", "60s"]
        words += ["--namespace", self.namespace, "--kubeconfig", str(self._addresses.kubeconfig)]
        words += ["--kube-context", str(self._addresses.context), "--set", "url=https://shop.example"]
        words += [word for value in values for word in ("--set", value)]
        child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
        assert await child.wait() == 0

    async def beside(self) -> Manifest:
        """A workload of somebody's beside the release, that never runs."""
        meta = {"name": "guest", "namespace": self.namespace}
        spec = {"suspend": True, "schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": GUEST}}}
        return await self._cluster.create({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec})

    async def pods(self) -> dict[str, tuple[str, int]]:
        """Each pod with its UID and how often its containers were restarted."""
        found = await self._cluster.list_objects("v1", "Pod", namespace=self.namespace)
        return {pod["metadata"]["name"]: (pod["metadata"]["uid"], _restarts(pod)) for pod in found}

    async def come_to(self, pods: int) -> None:
        """Wait for so many: those of before may still be on their way out."""
        async with asyncio.timeout(90):
            while len(await self.pods()) != pods:
                await asyncio.sleep(0.1)

    async def templates(self) -> dict[str, tuple[Manifest, int]]:
        """Each workload's pod template and generation: any change of its spec raises that."""
        lists = [
            await self._cluster.list_objects("apps/v1", kind, namespace=self.namespace)
            for kind in ("Deployment", "StatefulSet")
        ]
        return {
            each["metadata"]["name"]: (each["spec"]["template"], each["metadata"]["generation"])
            for objects in lists
            for each in objects
        }

    async def states(self, release: str) -> list[State]:
        """Helm's revisions of the release."""
        labels = storage_labels(release)
        found = await self._cluster.list_objects("v1", "Secret", namespace=self.namespace, labels=labels)
        return [each.state for each in revisions_of(found)]

    async def labels(self) -> dict[str, str]:
        """The namespace's labels."""
        found = await self._cluster.get(Ref("v1", "Namespace", self.namespace))
        assert found is not None
        return dict(found["metadata"]["labels"])

    async def volumes(self) -> set[str]:
        """The UIDs of the volume claims."""
        found = await self._cluster.list_objects("v1", "PersistentVolumeClaim", namespace=self.namespace)
        return {each["metadata"]["uid"] for each in found}


def _restarts(pod: Manifest) -> int:
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses") or ())
