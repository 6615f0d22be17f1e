"""Runs the containers' scripts: Temporal's namespace on a real server, Supabase lite from a bare directory."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from supabase_lite import SupabaseLite
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.testing import WorkflowEnvironment

from innkeeper.embedded import builds
from innkeeper.embedded.ports import LOOPBACK, Ports
from innkeeper.model.messages import SEARCH_ATTRIBUTES

SCRIPTS = ("deploy/supabase-lite.sh", "deploy/temporal-namespace.sh", "deploy/temporal-schema.sh")
SECRET = "sb_secret_of-the-servers-tests-only"
CALLS = "sql-tool.calls"


def sh(*argv: object, env: dict[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = ["sh", *map(str, argv)]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_a_posix_shells(script: str, root: Path) -> None:
    shells = [[shell, "-n"] for shell in ("sh", "dash") if shutil.which(shell)]
    shells += [["shellcheck", "--shell=sh"]] if shutil.which("shellcheck") else []
    assert [shell for shell in shells if subprocess.run([*shell, root / script], check=False).returncode] == []


def test_the_namespace_script_asks_for_the_search_attributes_of_operations(root: Path) -> None:
    asked = re.findall(r"^insist has_attribute (\w+) (\w+)$", (root / SCRIPTS[1]).read_text(), re.MULTILINE)
    assert dict(asked) == SEARCH_ATTRIBUTES


async def test_the_namespace_script_makes_what_is_missing_and_leaves_what_is_there(
    root: Path, temporal: WorkflowEnvironment, temporal_variables: dict[str, str]
) -> None:
    env = {**temporal_variables, "TEMPORAL_NAMESPACE": "tenants"}
    first, second = (sh(root / SCRIPTS[1], env=env) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    listed = await temporal.client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="tenants")
    )
    names = {1: "Text", 2: "Keyword", 3: "Int", 4: "Double", 5: "Bool", 6: "Datetime", 7: "KeywordList"}
    found = {name: names[kind] for name, kind in listed.custom_attributes.items()}
    assert found.items() >= SEARCH_ATTRIBUTES.items()


def test_the_namespace_script_gives_up_on_a_server_that_is_not_there(
    root: Path, temporal_variables: dict[str, str]
) -> None:
    env = {**temporal_variables, "TEMPORAL_ADDRESS": f"{LOOPBACK}:1", "TEMPORAL_TRIES": "1"}
    ended = sh(root / SCRIPTS[1], env=env)
    assert ended.returncode != 0
    assert f"{LOOPBACK}:1" in ended.stderr


def test_the_schema_script_brings_both_databases_up_to_date_and_stops_at_the_first_failure(
    root: Path, tmp_path: Path
) -> None:
    tool = tmp_path / "temporal-sql-tool"
    tool.write_text(f'#!/bin/sh\necho "$SQL_PLUGIN $*" >>{tmp_path / CALLS}\n[ "$3" != "${{FAILS:-}}" ]\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SQL_HOST": "db", "SQL_PASSWORD": "made-up"}
    assert sh(root / SCRIPTS[2], env=env).returncode == 0
    folder = "/etc/temporal/schema/postgresql/v12"
    assert (tmp_path / CALLS).read_text().splitlines() == [
        "postgres12 --db temporal create",
        "postgres12 --db temporal setup-schema -v 0.0",
        f"postgres12 --db temporal update-schema -d {folder}/temporal/versioned",
        "postgres12 --db temporal_visibility create",
        "postgres12 --db temporal_visibility setup-schema -v 0.0",
        f"postgres12 --db temporal_visibility update-schema -d {folder}/visibility/versioned",
    ]
    (tmp_path / CALLS).unlink()
    assert sh(root / SCRIPTS[2], env={**env, "FAILS": "setup-schema"}).returncode != 0
    assert len((tmp_path / CALLS).read_text().splitlines()) == 2


@pytest.fixture(scope="module")
async def lite_variables(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the script outside its container: other places, and this machine's Node."""
    node = await builds.ensure_node(None, print)
    program = await builds.ensure_lite(node, print)
    folder = tmp_path_factory.mktemp("lite")
    return {
        "PATH": f"{node.tool.path.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LITE_DATA": str(folder / "data"),
        "LITE_HOST": LOOPBACK,
        "LITE_MIGRATIONS": str(root / "supabase/migrations"),
        "LITE_PORT": str(Ports(folder / "ports.json").take("lite")),
        "LITE_PROGRAM": str(program),
        "SUPABASE_SECRET_KEY": SECRET,
    }


@contextmanager
def lite_running(root: Path, env: dict[str, str], log: Path) -> Iterator[SupabaseLite]:
    """Supabase lite as its container runs it, until SIGTERM; its end has to be a clean one."""
    with log.open("w") as output:
        child = subprocess.Popen(["sh", root / SCRIPTS[0]], env=env, stdout=output, stderr=output)
    url = f"http://{LOOPBACK}:{env['LITE_PORT']}"
    try:
        deadline = time.monotonic() + 90
        while not _answers(url):
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        kept = [(Path(env["LITE_DATA"]) / name).read_text() for name in ("publishable-key", "jwt-secret")]
        yield SupabaseLite(url=url, secret_key=SECRET, publishable_key=kept[0], jwt_secret=kept[1])
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/rest/v1/instances?limit=1", headers={"apikey": SECRET}).status_code == 200
    except httpx.TransportError:
        return False


def status(lite: SupabaseLite, key: str, token: str = "") -> int:
    headers = {"apikey": key} if key else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"{lite.url}/rest/v1/instances?limit=1", headers=headers).status_code


def ask(lite: SupabaseLite, what: str, **body: str) -> int:
    headers = {"apikey": lite.publishable_key}
    return httpx.post(f"{lite.url}/auth/v1/{what}", headers=headers, json=body).status_code


def test_supabase_lite_keeps_keys_and_rows_over_a_restart_and_has_no_default_key(
    root: Path, lite_variables: dict[str, str], tmp_path: Path
) -> None:
    user = {"email": "someone@example.com", "password": "made-up-for-the-tests"}
    with lite_running(root, {**lite_variables, "LITE_SIGNUP": "true"}, tmp_path / "first.log") as first:
        assert ask(first, "signup", **user) == 200
        assert status(first, first.publishable_key) == 200
        assert status(first, "") == 401
        assert status(first, "sb_secret_guessed") == 401
        weak = SupabaseLite(first.url, SECRET, first.publishable_key, "dev-secret-change-me")
        assert status(first, first.publishable_key, weak.token(role="service_role", sub="x")) == 401
    with lite_running(root, lite_variables, tmp_path / "second.log") as second:
        assert second == first
        assert ask(second, "token?grant_type=password", **user) == 200
        assert ask(second, "signup", email="another@example.com", password="made-up") >= 400
    for log in ("first.log", "second.log"):
        assert SECRET not in (tmp_path / log).read_text()
    private = [path for path in Path(lite_variables["LITE_DATA"]).iterdir() if path.is_file()]
    assert private
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"SUPABASE_SECRET_KEY": ""}, "SUPABASE_SECRET_KEY"),
        ({"SUPABASE_SECRET_KEY": "sb_secret_short"}, "SUPABASE_SECRET_KEY"),
        ({"LITE_PORT": "http"}, "LITE_PORT"),
        ({"LITE_SIGNUP": "perhaps"}, "LITE_SIGNUP"),
    ],
)
def test_supabase_lite_refuses_what_would_be_unsafe_before_it_writes_anything(
    wrong: dict[str, str], named: str, root: Path, lite_variables: dict[str, str], tmp_path: Path
) -> None:
    ended = sh(root / SCRIPTS[0], env={**lite_variables, "LITE_DATA": str(tmp_path / "data"), **wrong})
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"supabase-lite: {named} ")
    assert not (tmp_path / "data").exists()
