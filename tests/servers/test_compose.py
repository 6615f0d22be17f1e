"""Holds the compose file to the specification, to what the images and settings know, and to what production needs."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from temporalio.envconfig import ClientConfig

from innkeeper.embedded.temporal import FLAGS
from innkeeper.settings import PREFIX, Settings

FULL_VERSION = re.compile(r"\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?")
ONCE = {"temporal-schema", "temporal-namespace"}
SECRET = re.compile(r"PASSWORD|PWD|SECRET|KEY|TOKEN")
REQUIRED = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")

KNOWN: dict[str, frozenset[str]] = {
    # docker-library/postgres: docker-entrypoint.sh
    "temporal-db": frozenset({"POSTGRES_USER", "POSTGRES_PASSWORD"}),
    # temporalio/temporal: tools/sql/main.go; the tool's flags by their environment names
    "temporal-schema": frozenset({"SQL_HOST", "SQL_PASSWORD"}),
    # temporalio/temporal: common/config/config_template_embedded.yaml
    "temporal": frozenset(
        {
            "BIND_ON_IP",
            "DB",
            "DB_PORT",
            "DYNAMIC_CONFIG_FILE_PATH",
            "NUM_HISTORY_SHARDS",
            "POSTGRES_PWD",
            "POSTGRES_SEEDS",
            "POSTGRES_USER",
        }
    ),
    # temporalio/cli: the client's environment configuration, shared with the SDKs
    "temporal-namespace": frozenset({"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}),
    # temporalio/ui: server/docker/config-template.yaml
    "temporal-ui": frozenset({"TEMPORAL_ADDRESS", "TEMPORAL_DEFAULT_NAMESPACE"}),
    # deploy/supabase-lite.sh
    "supabase-lite": frozenset({"SUPABASE_SECRET_KEY", "LITE_SIGNUP"}),
}
"""Service → the names its image knows, with where that is written. The worker's are held by its settings."""


def long_running(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if name not in ONCE}


def test_the_file_is_what_the_compose_specification_allows(compose: dict[str, Any]) -> None:
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(compose)] == []


def test_every_image_is_pinned_by_its_full_version(compose: dict[str, Any], root: Path) -> None:
    images = [service["image"] for service in compose["services"].values() if "image" in service]
    for file in (root / "Dockerfile", root / "deploy/supabase-lite.Dockerfile"):
        images += re.findall(r"^FROM (\S+)", file.read_text(), re.MULTILINE)
    assert len(images) == 8
    assert [image for image in images if not FULL_VERSION.fullmatch(image.partition(":")[2])] == []


def test_temporals_server_and_its_tools_are_of_one_version(compose: dict[str, Any]) -> None:
    services = compose["services"]
    versions = {services[name]["image"].partition(":")[2] for name in ("temporal", "temporal-schema")}
    assert len(versions) == 1


def test_what_runs_for_long_is_restarted_and_checked(compose: dict[str, Any], root: Path) -> None:
    for name, service in long_running(compose).items():
        assert service["restart"] == "unless-stopped", name
        if "build" in service:
            file = root / service["build"].get("dockerfile", "Dockerfile")
            assert "\nHEALTHCHECK " in file.read_text(), name
        else:
            assert service["healthcheck"]["test"], name


def test_what_runs_once_is_tried_again_and_waited_for(compose: dict[str, Any]) -> None:
    waited = {
        dependency: terms["condition"]
        for service in compose["services"].values()
        for dependency, terms in service.get("depends_on", {}).items()
    }
    for name in ONCE:
        assert compose["services"][name]["restart"].startswith("on-failure:")
        assert waited[name] == "service_completed_successfully"


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    secrets = [
        (service, name, value)
        for service, content in compose["services"].items()
        for name, value in content.get("environment", {}).items()
        if SECRET.search(name)
    ]
    assert len(secrets) == 5
    assert [(service, name) for service, name, value in secrets if not REQUIRED.fullmatch(value)] == []


def test_ports_are_published_on_the_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_volume_is_declared_and_used_and_every_mounted_file_is_here(compose: dict[str, Any], root: Path) -> None:
    # A variable may hold a colon in its message: the mount's own are the last two.
    mounts = [
        mount.removesuffix(":ro").rpartition(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", [])
    ]
    files = [mount for mount in mounts if mount.startswith("./")]
    assert {mount for mount in mounts if not mount.startswith(("./", "${"))} == set(compose["volumes"])
    assert [file for file in files if not (root / file).is_file()] == []


@pytest.mark.parametrize("service", sorted(KNOWN))
def test_every_name_is_one_that_the_image_knows(service: str, compose: dict[str, Any]) -> None:
    assert set(compose["services"][service]["environment"]) <= KNOWN[service]


def test_every_name_of_the_worker_is_a_setting(compose: dict[str, Any], root: Path) -> None:
    given = set(compose["services"]["worker"]["environment"])
    given |= set(re.findall(rf"\b{PREFIX}[A-Z_]+(?==)", (root / "Dockerfile").read_text()))
    ours = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert {name for name in given if name.startswith(PREFIX)} <= ours
    assert {name for name in given if not name.startswith(PREFIX)} == {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}


def test_temporals_names_reach_its_client_configuration(compose: dict[str, Any]) -> None:
    environment = compose["services"]["worker"]["environment"]
    names = {name: f"made-up-{name}:1" for name in environment if name.startswith("TEMPORAL_")}
    config = ClientConfig.load_client_connect_config(override_env_vars=names, disable_file=True)
    assert config.get("target_host") == names["TEMPORAL_ADDRESS"]
    assert config.get("namespace") == names["TEMPORAL_NAMESPACE"]


def test_what_services_call_each_other_by_are_services(compose: dict[str, Any]) -> None:
    environments = [service.get("environment", {}) for service in compose["services"].values()]
    hosts = {
        environment[name]
        for environment in environments
        for name in ("POSTGRES_SEEDS", "SQL_HOST")
        if name in environment
    }
    hosts |= {
        environment["TEMPORAL_ADDRESS"].partition(":")[0]
        for environment in environments
        if "TEMPORAL_ADDRESS" in environment
    }
    assert hosts <= set(compose["services"])


def test_a_server_of_ones_own_gives_tenants_their_turns_as_the_platforms_does(root: Path) -> None:
    told = yaml.safe_load((root / "deploy" / "temporal-dynamic.yaml").read_text())
    ours = dict(flag.split("=") for flag in FLAGS if flag.startswith("matching."))
    assert "matching.numTaskqueueReadPartitions" in ours
    assert {name: json.dumps(told[name][0]["value"]) for name in ours} == ours
