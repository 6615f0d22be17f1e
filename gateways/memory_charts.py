"""The charts that the in-memory Helm knows: small, of the usual shape, and one for each way a chart can misbehave.

A chart is known by the last part of its path, OCI reference or name. `tests/data/charts/memory` holds the same charts
for the real Helm, and the contract tests compare what both render.

room      a web Deployment, a database StatefulSet with a volume, a Service, a ConfigMap (any other name, too)
hooked    room, and a ConfigMap made by a hook before installs and upgrades
slow      room, and a hook that never ends by itself
claims    room, and a claim of the chart's own that it forgot to keep; its StatefulSet would delete its claims
refused   room, and a Service that the API server refuses: Helm fails while it works
outside   room, and a ConfigMap in the namespace `default`
wide      room, and a ClusterRole, which is in no namespace
unknown   room, and an object of a kind that no cluster knows: Helm fails before it begins
broken    does not render
"""

from __future__ import annotations

from typing import NamedTuple

from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import BadInput
from innkeeper.model.manifests import HOOK, Manifest, write_yaml
from innkeeper.model.ports import Release

VERSION = "0.1.0"

NEVER_ENDS = "memory-never-ends"
"""The label of a hook that the cluster never finishes."""


class Rendered(NamedTuple):
    """A chart rendered for one release."""

    objects: list[Manifest]
    hooks: list[Manifest]


def name_of(chart: ChartRef) -> str:
    """The chart's own name."""
    source = chart.name or chart.path or chart.oci or ""
    return source.rstrip("/").rpartition("/")[2]


def render(release: Release) -> Rendered:
    """The objects of the release's chart.

    Raises:
        BadInput: the chart does not render, or `replicas` is no integer.
    """
    chart, label, name = name_of(release.chart), release.chart.label, release.name
    values = release.all_values
    replicas = values.get("replicas", 1)
    if not isinstance(replicas, int):
        raise BadInput(
            f"values of chart {label}",
            "replicas",
            f"does not fit the chart's schema: Invalid type. Expected: integer, given: {type(replicas).__name__}",
            fix="correct the plan's values",
            code="ValuesInvalid",
        )
    if chart == "broken":
        raise BadInput(
            "chart",
            label,
            "does not render: it is broken",
            fix="correct the plan's values, or the chart",
            code="ChartBroken",
        )
    objects = [
        _object("v1", "ConfigMap", f"{name}-config", {"data": {"note": str(values.get("note", ""))}}),
        _object("v1", "Service", f"{name}-web", {"spec": {"selector": _labels(name, "web"), "ports": [{"port": 80}]}}),
        _object("apps/v1", "Deployment", f"{name}-web", {"spec": _workload(name, "web", replicas)}),
        _object("apps/v1", "StatefulSet", f"{name}-db", {"spec": _stateful(name, delete_claims=chart == "claims")}),
    ]
    if chart == "claims":
        objects.append(_object("v1", "PersistentVolumeClaim", f"{name}-files", {"spec": _claim()}))
    if chart == "refused":
        objects.append(_object("v1", "Service", f"{name}-refused", {"spec": {"ports": [{"port": 70_000}]}}))
    if chart == "outside":
        objects.append(_object("v1", "ConfigMap", f"{name}-outside", {"data": {"note": "outside"}}))
        objects[-1]["metadata"]["namespace"] = "default"
    if chart == "wide":
        objects.append(_object("rbac.authorization.k8s.io/v1", "ClusterRole", f"{name}-wide", {"rules": []}))
    if chart == "unknown":
        objects.append(_object("v1", "Nonsense", f"{name}-nonsense", {}))
    return Rendered(objects, _hooks(chart, name))


def _object(api_version: str, kind: str, name: str, rest: Manifest) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}


def _labels(name: str, part: str) -> dict[str, str]:
    return {"app": f"{name}-{part}"}


def _workload(name: str, part: str, replicas: int) -> Manifest:
    requests = {"cpu": "100m", "memory": "128Mi"}
    pod = {"containers": [{"name": part, "image": f"example/{part}:1", "resources": {"requests": requests}}]}
    return {
        "replicas": replicas,
        "selector": {"matchLabels": _labels(name, part)},
        "template": {"metadata": {"labels": _labels(name, part)}, "spec": pod},
    }


def _claim() -> Manifest:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def _stateful(name: str, *, delete_claims: bool) -> Manifest:
    spec = _workload(name, "db", 1)
    spec["serviceName"] = f"{name}-db"
    spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": _claim()}]
    if delete_claims:
        spec["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    return spec


def _hooks(chart: str, name: str) -> list[Manifest]:
    if chart == "hooked":
        hook = _object("v1", "ConfigMap", f"{name}-before", {"data": {"ran": "yes"}})
    elif chart == "slow":
        hook = _object(
            "batch/v1",
            "Job",
            f"{name}-before",
            {
                "spec": {
                    "template": {
                        "spec": {
                            "restartPolicy": "Never",
                            "nodeSelector": {NEVER_ENDS: "yes"},
                            "containers": [{"name": "before", "image": "example/before:1"}],
                        }
                    }
                }
            },
        )
    else:
        return []
    hook["metadata"]["annotations"] = {HOOK: "pre-install,pre-upgrade"}
    return [hook]


def written(objects: list[Manifest]) -> str:
    """Objects as Helm stores them: one stream of documents."""
    return "".join(f"---\n{write_yaml(each)}\n" for each in objects)
