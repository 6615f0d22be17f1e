"""The kubeconfig of the pod that a worker runs in.

Helm finds a pod's service account by itself, but then passes over the user that it is told to act as (client-go honours
`--kube-as-user` only beside a kubeconfig), and would write with the worker's rights. So it gets a kubeconfig that says
the same. There is no secret in it: the token stays in the file that Kubernetes mounted and renews.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

from innkeeper.model.manifests import write_yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a pod's service account."""

_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


def kubeconfig_of_pod(owner: object, environment: Mapping[str, str], account: Path = ACCOUNT) -> Path | None:
    """A file that is there as long as its owner; None outside of pods."""
    if _HOST not in environment:
        return None
    host = environment[_HOST]
    server = f"https://{f'[{host}]' if ':' in host else host}:{environment.get(_PORT, '443')}"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "pod", "cluster": {"server": server, "certificate-authority": str(account / "ca.crt")}}],
        "users": [{"name": "pod", "user": {"tokenFile": str(account / "token")}}],
        "contexts": [{"name": "pod", "context": {"cluster": "pod", "user": "pod"}}],
        "current-context": "pod",
    }
    folder = Path(tempfile.mkdtemp(prefix="innkeeper-helm-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    file = folder / "kubeconfig"
    file.write_text(write_yaml(content))
    return file
