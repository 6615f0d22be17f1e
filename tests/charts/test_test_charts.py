"""The charts that other tests provision: each has the structure, or the one fault, that it is there for."""

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Render = Callable[..., list[dict[str, Any]]]
Helm = Callable[..., subprocess.CompletedProcess[str]]

FAULT = "kwok.innkeeper.dev/fault"


@pytest.mark.parametrize(
    "chart",
    [
        "room",
        "created",
        "suite",
        "broken-cluster-scoped",
        "broken-foreign-namespace",
        "broken-pods",
        "broken-job",
    ],
)
def test_a_chart_that_renders_passes_helms_strict_lint(helm: Helm, charts: dict[str, Path], chart: str) -> None:
    done = helm("lint", "--strict", charts[chart])
    assert done.returncode == 0, done.stdout + done.stderr


def hook_of(item: dict[str, Any]) -> str | None:
    hook: str | None = item["metadata"].get("annotations", {}).get("helm.sh/hook")
    return hook


def test_suite_has_the_structure_of_a_large_public_chart(render: Render) -> None:
    objects = render("suite")
    assert Counter(item["kind"] for item in objects if hook_of(item) is None) == {
        "Deployment": 2,
        "StatefulSet": 2,
        "DaemonSet": 1,
        "CronJob": 1,
        "Job": 1,
        "Service": 3,
        "ConfigMap": 1,
        "Secret": 1,
        "PersistentVolumeClaim": 1,
        "ServiceAccount": 1,
        "Role": 1,
        "RoleBinding": 1,
        "NetworkPolicy": 1,
        "HorizontalPodAutoscaler": 1,
        "PodDisruptionBudget": 1,
        "Ingress": 1,
    }
    assert {(item["kind"], hook_of(item)) for item in objects if hook_of(item)} == {
        ("Job", "pre-install"),
        ("Job", "pre-upgrade"),
        ("Job", "post-install"),
        ("Pod", "test"),
    }


def test_suites_dependency_goes_away_by_its_condition(render: Render) -> None:
    with_cache, without = render("suite"), render("suite", {"cache": {"enabled": False}})
    names = [item["metadata"]["name"] for item in without]
    assert "acme-cache" not in names
    assert len(with_cache) == len(without) + 2


def test_suites_volume_and_secret_forget_to_ask_helm_to_keep_them(render: Render) -> None:
    kept = [item for item in render("suite") if "helm.sh/resource-policy" in item["metadata"].get("annotations", {})]
    assert kept == []


def test_suites_secret_is_another_at_every_rendering_without_a_cluster(render: Render) -> None:
    first, second = ([item for item in render("suite") if item["kind"] == "Secret"] for _ in range(2))
    assert first != second


def test_suite_makes_no_secret_where_one_exists(render: Render) -> None:
    objects = render("suite", {"auth": {"existingSecret": "given"}})
    assert "Secret" not in {item["kind"] for item in objects}
    [worker] = [item for item in objects if item["metadata"]["name"] == "acme-suite-worker"]
    [password] = worker["spec"]["template"]["spec"]["containers"][0]["env"]
    assert password["valueFrom"]["secretKeyRef"]["name"] == "given"


def test_a_chart_that_does_not_render_names_the_template_and_the_value(helm: Helm, charts: dict[str, Path]) -> None:
    done = helm("template", "acme", charts["broken-render"])
    assert done.returncode != 0
    assert "broken-render/templates/configmap.yaml:6" in done.stderr
    assert ".Values.database.connection.host" in done.stderr


def test_one_broken_chart_makes_an_object_without_a_namespace(render: Render) -> None:
    assert {item["kind"] for item in render("broken-cluster-scoped")} == {"ClusterRole", "ServiceAccount"}


def test_one_broken_chart_makes_an_object_in_another_namespace(render: Render) -> None:
    objects = render("broken-foreign-namespace")
    assert {item["metadata"]["name"]: item["metadata"].get("namespace") for item in objects} == {
        "acme-own": None,
        "acme-foreign": "default",
    }


@pytest.mark.parametrize(("chart", "fault"), [("broken-pods", "image"), ("broken-job", "crash")])
def test_a_fault_is_asked_of_the_simulated_nodes_by_the_pods_annotation(render: Render, chart: str, fault: str) -> None:
    def annotations(values: dict[str, Any] | None = None) -> dict[str, str]:
        [item] = render(chart, values)
        found: dict[str, str] = item["spec"]["template"]["metadata"].get("annotations", {})
        return found

    assert annotations() == {FAULT: fault}
    assert annotations({"fault": "slow"}) == {FAULT: "slow"}
    assert annotations({"fault": ""}) == {}


def test_the_broken_job_can_be_a_hook(render: Render) -> None:
    [plain], [hook] = render("broken-job"), render("broken-job", {"hook": "pre-install"})
    assert hook_of(plain) is None
    assert hook_of(hook) == "pre-install"
