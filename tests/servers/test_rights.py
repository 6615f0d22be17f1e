"""Holds the worker's ClusterRole to what the code does in a cluster, and to nothing that would be everything."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from innkeeper.gateways.helm import find_helm
from innkeeper.model import health, surroundings, workloads
from innkeeper.model.manifests import parse
from innkeeper.settings import Settings

CHANGES = {"get", "create", "patch", "delete"}
PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


@pytest.fixture(scope="module")
def manifests(root: Path) -> dict[str, Any]:
    found = yaml.safe_load_all((root / "deploy/worker-rights.yaml").read_text())
    return {manifest["kind"]: manifest for manifest in found}


@pytest.fixture(scope="module")
def rules(manifests: dict[str, Any]) -> list[dict[str, list[str]]]:
    granted: list[dict[str, list[str]]] = manifests["ClusterRole"]["rules"]
    return granted


def missing(rules: list[dict[str, list[str]]], api_version: str, kind: str, verbs: set[str]) -> set[str]:
    """The verbs on a kind that no rule grants."""
    group = api_version.rpartition("/")[0]
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    granted = {
        verb for rule in rules if group in rule["apiGroups"] and plural in rule["resources"] for verb in rule["verbs"]
    }
    return verbs - granted


@pytest.mark.parametrize("watched", health.WATCHED, ids=lambda watched: watched.kind)
def test_what_readiness_watches_may_be_watched(watched: health.Watched, rules: list[dict[str, list[str]]]) -> None:
    assert missing(rules, watched.api_version, watched.kind, {"list", "watch"}) == set()


@pytest.mark.parametrize(("api_version", "kind"), workloads.KINDS)
def test_what_stop_and_start_scale_may_be_listed_and_patched(
    api_version: str, kind: str, rules: list[dict[str, list[str]]]
) -> None:
    assert missing(rules, api_version, kind, {"list", "patch"}) == set()


@pytest.mark.parametrize(("api_version", "kind"), [*surroundings.KINDS, ("v1", "Secret"), ("v1", "Namespace")])
def test_what_is_made_around_a_release_may_be_made_and_deleted(
    api_version: str, kind: str, rules: list[dict[str, list[str]]]
) -> None:
    assert missing(rules, api_version, kind, CHANGES) == set()


@pytest.mark.parametrize("chart", ["charts/room", "tests/data/charts/created"])
def test_what_a_usual_chart_is_made_of_may_be_installed(
    chart: str, root: Path, rules: list[dict[str, list[str]]], rendered: dict[str, str]
) -> None:
    objects = parse(rendered[chart])
    assert objects
    lacking = {
        found["kind"]: lacks
        for found in objects
        if (lacks := missing(rules, found["apiVersion"], found["kind"], CHANGES))
    }
    assert lacking == {}


@pytest.fixture(scope="module")
def rendered(root: Path) -> dict[str, str]:
    """Chart → what Helm renders of it."""

    charts = ("charts/room", "tests/data/charts/created")
    return {
        chart: subprocess.run(
            [find_helm(), "template", "some", root / chart], capture_output=True, text=True, check=True
        ).stdout
        for chart in charts
    }


def test_no_rule_is_for_everything(rules: list[dict[str, list[str]]]) -> None:
    assert [rule for rule in rules if "*" in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}] == []


def test_the_role_is_bound_to_the_account_in_the_operators_namespace(manifests: dict[str, Any]) -> None:
    account, binding = manifests["ServiceAccount"]["metadata"], manifests["ClusterRoleBinding"]
    assert account["namespace"] == Settings.model_fields["operator_namespace"].default
    assert account["namespace"] == manifests["Namespace"]["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account}]
    assert binding["roleRef"]["name"] == manifests["ClusterRole"]["metadata"]["name"]
