"""Holds the worker's and Helm's ClusterRoles to what is done in a cluster, and to nothing that would be everything."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from innkeeper.gateways.helm import find_helm
from innkeeper.model import fence, health, surroundings, workloads
from innkeeper.model.drift_picture import CLOSE_LOOKS, LOOKS, Look
from innkeeper.model.manifests import parse
from innkeeper.settings import Settings

CHANGES = {"get", "create", "patch", "delete"}
PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


Rules = list[dict[str, list[str]]]


@pytest.fixture(scope="module")
def manifests(root: Path) -> dict[tuple[str, str], Any]:
    found = yaml.safe_load_all((root / "deploy/worker-rights.yaml").read_text())
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in found}


@pytest.fixture(scope="module")
def rules(manifests: dict[tuple[str, str], Any]) -> Rules:
    """The worker's."""
    granted: Rules = manifests["ClusterRole", "innkeeper-worker"]["rules"]
    return granted


@pytest.fixture(scope="module")
def helms(manifests: dict[tuple[str, str], Any]) -> Rules:
    """Those of Helm in an instance's namespace."""
    granted: Rules = manifests["ClusterRole", fence.ROLE]["rules"]
    return granted


def rights(rules: Rules) -> set[tuple[str, str, str]]:
    """Every right on all objects of a kind: group, resource and verb."""
    return {
        (group, resource, verb)
        for rule in rules
        if "resourceNames" not in rule
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def missing(rules: Rules, api_version: str, kind: str, verbs: set[str]) -> set[str]:
    """The verbs on a kind that no rule grants."""
    group = api_version.rpartition("/")[0]
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    granted = {
        verb for rule in rules if group in rule["apiGroups"] and plural in rule["resources"] for verb in rule["verbs"]
    }
    return verbs - granted


@pytest.mark.parametrize("watched", health.WATCHED, ids=lambda watched: watched.kind)
def test_what_readiness_watches_may_be_watched(watched: health.Watched, rules: Rules) -> None:
    assert missing(rules, watched.api_version, watched.kind, {"list", "watch"}) == set()


@pytest.mark.parametrize(("api_version", "kind"), workloads.KINDS)
def test_what_stop_and_start_scale_may_be_listed_and_patched(api_version: str, kind: str, rules: Rules) -> None:
    assert missing(rules, api_version, kind, {"list", "patch"}) == set()


@pytest.mark.parametrize("look", [*LOOKS, *CLOSE_LOOKS], ids=lambda look: look.kind)
def test_what_a_reconcile_looks_at_may_be_listed(look: Look, rules: Rules) -> None:
    assert missing(rules, look.api_version, look.kind, {"list"}) == set()


@pytest.mark.parametrize(("api_version", "kind"), [*surroundings.KINDS, ("v1", "Secret"), ("v1", "Namespace")])
def test_what_is_made_around_a_release_may_be_made_and_deleted(api_version: str, kind: str, rules: Rules) -> None:
    assert missing(rules, api_version, kind, CHANGES) == set()


@pytest.mark.parametrize("chart", ["charts/room", "tests/data/charts/created"])
def test_what_a_usual_chart_is_made_of_may_be_installed(
    chart: str, root: Path, helms: Rules, rendered: dict[str, str]
) -> None:
    objects = parse(rendered[chart])
    assert objects
    lacking = {
        found["kind"]: lacks
        for found in objects
        if (lacks := missing(helms, found["apiVersion"], found["kind"], CHANGES))
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


def test_helm_may_keep_its_storage_and_wait_for_hooks(helms: Rules) -> None:
    assert missing(helms, "v1", "Secret", {*CHANGES, "list", "update"}) == set()
    for api_version, kind in (("batch/v1", "Job"), ("v1", "Pod")):
        assert missing(helms, api_version, kind, {*CHANGES, "list", "watch"}) == set()


def test_the_worker_has_every_right_that_it_gives_to_helm_so_that_it_may_bind_them(rules: Rules, helms: Rules) -> None:
    assert rights(helms) - rights(rules) == set()
    assert not {verb for _, _, verb in rights(rules)} & {"bind", "escalate"}


@pytest.mark.parametrize("resource", ["rolebindings", "resourcequotas", "limitranges", "users", "namespaces"])
def test_helm_may_change_nothing_that_is_innkeepers_own(helms: Rules, resource: str) -> None:
    assert {right for right in rights(helms) if right[1] == resource} == set()


def test_the_worker_may_do_what_fencing_takes(rules: Rules) -> None:
    wanted = {("", "users", "impersonate"), ("authorization.k8s.io", "subjectaccessreviews", "create")}
    assert wanted - rights(rules) == set()
    named = [rule for rule in rules if rule.get("resourceNames") == [fence.ROLE]]
    assert [(rule["resources"], rule["verbs"]) for rule in named] == [(["clusterroles"], ["get"])]


def test_no_rule_is_for_everything(rules: Rules, helms: Rules) -> None:
    both = [*rules, *helms]
    assert [rule for rule in both if "*" in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}] == []


def test_the_role_is_bound_to_the_account_in_the_operators_namespace(manifests: dict[tuple[str, str], Any]) -> None:
    account = manifests["ServiceAccount", "innkeeper-worker"]["metadata"]
    binding = manifests["ClusterRoleBinding", "innkeeper-worker"]
    assert account["namespace"] == Settings.model_fields["operator_namespace"].default
    assert ("Namespace", account["namespace"]) in manifests
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account}]
    assert ("ClusterRole", binding["roleRef"]["name"]) in manifests
