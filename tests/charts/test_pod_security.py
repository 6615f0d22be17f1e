"""Pod Security's `restricted` level over rendered charts: what the API server would refuse is found without one.

The rules are those of the Pod Security Standards, `baseline` and `restricted` taken together.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Render = Callable[..., list[dict[str, Any]]]
Spec = dict[str, Any]

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}


def breaches(pod: Spec) -> list[str]:
    """What of a pod's spec `restricted` forbids, by the field's path; empty where it passes."""
    return [
        *_pod_breaches(pod),
        *(found for container in _containers(pod) for found in _container_breaches(container, pod)),
    ]


def _containers(pod: Spec) -> list[Spec]:
    return [
        container for part in ("initContainers", "containers", "ephemeralContainers") for container in pod.get(part, [])
    ]


def _pod_breaches(pod: Spec) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    for volume in pod.get("volumes", []):
        if not VOLUMES & volume.keys():
            yield f"volumes.{volume['name']}"
    context = pod.get("securityContext", {})
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctls.{sysctl['name']}"
    yield from _context_breaches("pod", context)


def _context_breaches(where: str, context: Spec) -> Iterator[str]:
    if context.get("runAsUser") == 0:
        yield f"{where}.runAsUser"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{where}.hostProcess"
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield f"{where}.appArmorProfile"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{where}.seLinuxOptions"


def _container_breaches(container: Spec, pod: Spec) -> Iterator[str]:
    where = container["name"]
    context = container.get("securityContext", {})
    inherited = {**pod.get("securityContext", {}), **context}
    yield from _context_breaches(where, context)
    if inherited.get("runAsNonRoot") is not True:
        yield f"{where}.runAsNonRoot"
    if inherited.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield f"{where}.seccompProfile"
    if context.get("privileged"):
        yield f"{where}.privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{where}.allowPrivilegeEscalation"
    if context.get("procMount", "Default") != "Default":
        yield f"{where}.procMount"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{where}.capabilities.drop"
    if not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield f"{where}.capabilities.add"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{where}.hostPort"
    if any(
        _probes_another_host(container.get(probe, {})) for probe in ("livenessProbe", "readinessProbe", "startupProbe")
    ):
        yield f"{where}.probeHost"


def _probes_another_host(probe: Spec) -> bool:
    return bool(probe.get("httpGet", {}).get("host") or probe.get("tcpSocket", {}).get("host"))


def pods_of(objects: list[dict[str, Any]]) -> dict[str, Spec]:
    """The spec of every pod that the objects are or make, by the object's kind and name."""
    found = {}
    for item in objects:
        spec = item.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        pod = spec if item["kind"] == "Pod" else spec.get("template", {}).get("spec")
        if pod is not None:
            found[f"{item['kind']}/{item['metadata']['name']}"] = pod
    return found


def test_every_pod_of_room_passes_restricted(render: Render) -> None:
    pods = pods_of(render("room", {"url": "https://acme.example.com", "ingress": {"enabled": True}}))
    assert pods.keys() == {"Deployment/acme-web", "StatefulSet/acme-db"}
    assert {name: breaches(pod) for name, pod in pods.items()} == {name: [] for name in pods}


def test_no_pod_of_room_is_given_a_token_of_the_cluster(render: Render) -> None:
    assert all(pod["automountServiceAccountToken"] is False for pod in pods_of(render("room")).values())


def test_a_chart_as_helm_makes_it_needs_a_plan_that_allows_baseline(render: Render) -> None:
    """Why its plan says `pod_security: baseline` and `container_defaults`: it names neither user nor resources."""
    pods = pods_of(render("created"))
    assert "created.runAsNonRoot" in breaches(pods["Deployment/acme-created"])
    assert all("resources" not in container for container in pods["Deployment/acme-created"]["containers"])


@pytest.mark.parametrize(
    ("where", "change", "breach"),
    [
        ("pod", {"hostNetwork": True}, "hostNetwork"),
        ("pod", {"hostPID": True}, "hostPID"),
        ("pod", {"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]}, "volumes.etc"),
        ("pod", {"securityContext": {"runAsUser": 0}}, "pod.runAsUser"),
        ("pod", {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, "sysctls.kernel.msgmax"),
        ("pod", {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, "pod.appArmorProfile"),
        ("pod", {"initContainers": [{"name": "bare"}]}, "bare.allowPrivilegeEscalation"),
        ("container", {"ports": [{"containerPort": 80, "hostPort": 80}]}, "web.hostPort"),
        ("container", {"readinessProbe": {"tcpSocket": {"host": "10.0.0.1", "port": 1}}}, "web.probeHost"),
        ("context", {"runAsNonRoot": False}, "web.runAsNonRoot"),
        ("context", {"runAsUser": 0}, "web.runAsUser"),
        ("context", {"privileged": True}, "web.privileged"),
        ("context", {"allowPrivilegeEscalation": True}, "web.allowPrivilegeEscalation"),
        ("context", {"procMount": "Unmasked"}, "web.procMount"),
        ("context", {"seccompProfile": {"type": "Unconfined"}}, "web.seccompProfile"),
        ("context", {"capabilities": {"drop": ["NET_RAW"]}}, "web.capabilities.drop"),
        ("context", {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}, "web.capabilities.add"),
        ("context", {"seLinuxOptions": {"type": "spc_t"}}, "web.seLinuxOptions"),
        ("context", {"windowsOptions": {"hostProcess": True}}, "web.hostProcess"),
    ],
)
def test_the_check_finds_each_breach(render: Render, where: str, change: Spec, breach: str) -> None:
    pod = copy.deepcopy(pods_of(render("room"))["Deployment/acme-web"])
    container = pod["containers"][0]
    {"pod": pod, "container": container, "context": container["securityContext"]}[where].update(change)
    assert breach in breaches(pod)
