"""The sample tenant chart, as an operator meets it: what it renders, and what it says to wrong values."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

Render = Callable[..., list[dict[str, Any]]]
Helm = Callable[..., subprocess.CompletedProcess[str]]

RECOMMENDED = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/component",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
}


def one(objects: list[dict[str, Any]], kind: str, ending: str = "") -> dict[str, Any]:
    [found] = [item for item in objects if item["kind"] == kind and item["metadata"]["name"].endswith(ending)]
    return found


def test_room_makes_a_web_server_and_a_database_with_their_services_and_settings(render: Render) -> None:
    objects = render("room")
    assert sorted((item["kind"], item["metadata"]["name"]) for item in objects) == [
        ("ConfigMap", "acme-pages"),
        ("ConfigMap", "acme-settings"),
        ("Deployment", "acme-web"),
        ("Service", "acme-db"),
        ("Service", "acme-web"),
        ("StatefulSet", "acme-db"),
    ]


def test_services_select_the_pods_they_are_named_for_and_ports_that_those_have(render: Render) -> None:
    objects = render("room")
    for service, workload in (("-web", "Deployment"), ("-db", "StatefulSet")):
        spec = one(objects, "Service", service)["spec"]
        template = one(objects, workload)["spec"]["template"]
        assert spec["selector"].items() <= template["metadata"]["labels"].items()
        ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in spec["ports"]} <= ports


def test_selectors_and_claim_templates_hold_nothing_that_an_upgrade_changes(
    helm: Helm, charts: dict[str, Path], render: Render, tmp_path: Path
) -> None:
    done = helm("package", charts["room"], "--version", "9.9.9", "--app-version", "9.9", "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    done = helm("template", "acme", tmp_path / "room-9.9.9.tgz")
    assert done.returncode == 0, done.stderr
    older, newer = render("room"), list(yaml.safe_load_all(done.stdout))
    for kind in ("Deployment", "StatefulSet"):
        before, after = one(older, kind), one(newer, kind)
        assert before["metadata"]["labels"] != after["metadata"]["labels"]
        assert before["spec"]["selector"] == after["spec"]["selector"]
        assert before["spec"].get("volumeClaimTemplates") == after["spec"].get("volumeClaimTemplates")


def test_every_object_carries_the_recommended_labels(render: Render) -> None:
    for item in render("room", {"url": "https://acme.example.com", "ingress": {"enabled": True}}):
        assert item["metadata"]["labels"].keys() >= RECOMMENDED, item["metadata"]["name"]


def test_no_object_names_a_namespace_or_is_a_secret(render: Render) -> None:
    for item in render("room"):
        assert "namespace" not in item["metadata"]
        assert item["kind"] != "Secret"


def test_both_pods_read_the_password_from_the_existing_secret_only(render: Render) -> None:
    objects = render("room", {"existingSecret": "acme-db", "existingSecretKey": "word"})
    web = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    [password] = [entry for entry in web["env"] if entry["name"] == "PGPASSWORD"]
    assert password["valueFrom"]["secretKeyRef"] == {"name": "acme-db", "key": "word"}
    volumes = one(objects, "StatefulSet")["spec"]["template"]["spec"]["volumes"]
    [secret] = [volume["secret"] for volume in volumes if "secret" in volume]
    assert secret["secretName"] == "acme-db"
    assert secret["items"] == [{"key": "word", "path": "password"}]


def test_a_changed_setting_rolls_the_web_pods_and_leaves_the_database_alone(render: Render) -> None:
    before, after = render("room"), render("room", {"settings": {"COLOUR": "blue"}})
    assert one(before, "Deployment")["spec"]["template"] != one(after, "Deployment")["spec"]["template"]
    assert one(before, "StatefulSet") == one(after, "StatefulSet")


def test_the_databases_volume_is_kept_when_its_statefulset_goes_or_shrinks(render: Render) -> None:
    spec = one(render("room", {"database": {"storage": {"size": "5Gi"}}}), "StatefulSet")["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    [claim] = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"


def test_every_container_has_probes_requests_and_limits_so_that_a_quota_admits_it(render: Render) -> None:
    objects = render("room")
    for kind in ("Deployment", "StatefulSet"):
        for container in one(objects, kind)["spec"]["template"]["spec"]["containers"]:
            assert container.keys() >= {"startupProbe", "readinessProbe", "livenessProbe"}
            for part in ("requests", "limits"):
                assert container["resources"][part].keys() >= {"cpu", "memory"}


def test_the_ingress_and_the_server_answer_to_the_urls_host_without_its_port(render: Render) -> None:
    objects = render("room", {"url": "https://acme.example.com:8443/", "ingress": {"enabled": True}})
    [rule] = one(objects, "Ingress")["spec"]["rules"]
    assert rule["host"] == "acme.example.com"
    assert "server_name acme.example.com;" in one(objects, "ConfigMap", "-pages")["data"]["default.conf"]
    assert one(objects, "ConfigMap", "-settings")["data"]["PUBLIC_URL"] == "https://acme.example.com:8443/"


def test_a_title_cannot_break_out_of_the_page(render: Render) -> None:
    page = one(render("room", {"title": "<script>"}), "ConfigMap", "-pages")["data"]["index.html"]
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_names_fit_their_limits_for_the_longest_release_name_helm_allows(render: Render) -> None:
    for item in render("room", release="a" * 53):
        limit = 52 if item["kind"] == "StatefulSet" else 63
        assert len(item["metadata"]["name"]) <= limit


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bogus": 1}, "Additional property bogus is not allowed"),
        ({"web": {"repicas": 2}}, "Additional property repicas is not allowed"),
        ({"web": {"replicas": "two"}}, "web.replicas: Invalid type. Expected: integer, given: string"),
        ({"web": {"replicas": -1}}, "web.replicas: Must be greater than or equal to 0"),
        ({"web": {"image": {"tag": "a b"}}}, "web.image.tag: Does not match pattern"),
        ({"web": {"image": {"pullPolicy": "Sometimes"}}}, "web.image.pullPolicy must be one of the following"),
        ({"web": {"resources": {"limits": None}}}, "limits is required"),
        ({"web": {"resources": {"limits": {"memory": "lots"}}}}, "web.resources.limits.memory: Does not match pattern"),
        ({"database": {"storage": {"size": "big"}}}, "database.storage.size: Does not match pattern"),
        ({"existingSecret": ""}, "existingSecret: String length must be greater than or equal to 1"),
        ({"url": "acme.example.com"}, "url: Does not match pattern"),
        ({"settings": {"PORT": 80}}, "settings.PORT: Invalid type. Expected: string, given: integer"),
        ({"settings": {"not-a-name": "x"}}, "settings: Property name of"),
        ({"settings": {"PUBLIC_URL": "x"}}, "settings: Property name of"),
        ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels: Property name of"),
        ({"ingress": {"enabled": True}}, "url: an Ingress needs it for its host; set url"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(
    helm: Helm, charts: dict[str, Path], values: dict[str, Any], said: str
) -> None:
    done = helm("template", "acme", charts["room"], values=values)
    assert done.returncode != 0
    assert said in done.stderr
    assert done.stdout == ""


def test_the_schema_is_a_schema_and_describes_every_value_at_the_top(charts: dict[str, Path]) -> None:
    schema = json.loads((charts["room"] / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    values = yaml.safe_load((charts["room"] / "values.yaml").read_text())
    assert schema["additionalProperties"] is False
    assert set(values) <= set(schema["properties"])
    assert all(part.get("description") for part in schema["properties"].values())
