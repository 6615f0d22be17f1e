"""The command line against the real parts: what a person types in an evening."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import jsonschema
import pytest

from innkeeper.cli.documents import schema

from .terminal import Ran, ended, on_terminal, run

PLAN = "starter"


async def ran(*words: str, env: dict[str, str]) -> Ran:
    return await asyncio.to_thread(lambda: run(*words, env=env))


def valid(document: object, model: str) -> None:
    jsonschema.validate(document, {**schema(), "$ref": f"#/$defs/{model}"})


def key_in(addresses: str) -> str:
    return str(json.loads(Path(addresses).read_text())["supabase_service_key"])


@pytest.mark.usefixtures("worker")
async def test_an_instance_lives_its_life_by_commands(platform_env: dict[str, str]) -> None:
    async def command(*words: str) -> Ran:
        told = await ran(*words, env=platform_env)
        assert told.code == 0, told
        return told

    provisioned = await command("provision", "typed", "--tenant", "t1", "--plan", PLAN, "--request-id", "typed-1")
    assert re.search(r"^typed is running at http", provisioned.out.splitlines()[-1])
    for words, end in [
        (("stop", "typed"), "typed is stopped"),
        (("start", "typed"), "typed is running"),
        (("restart", "typed"), "typed is running"),
    ]:
        assert (await command(*words)).out.splitlines()[-1].startswith(end)

    shown = await command("show", "typed")
    assert re.search(r"^status +running$", shown.out, re.MULTILINE)
    instance = (await command("show", "typed", "--output", "json")).document
    valid(instance, "Instance")
    listed = (await command("list", "--tenant", "t1", "--all", "--output", "json")).document
    valid(listed, "InstanceList")
    assert {**instance, "parked": False} in listed["items"]
    assert "typed" in (await command("list", "--status", "running", "--tenant", "t1")).out

    history = (await command("operations", "typed", "--output", "json")).document
    valid(history, "OperationList")
    assert [each["kind"] for each in history["items"]] == ["restart", "start", "stop", "provision"]
    first = (await command("operations", "typed", "--limit", "1")).out
    cursor = re.search(r"^more: --after (\S+)$", first, re.MULTILINE)
    assert cursor is not None
    assert " start " in (await command("operations", "typed", "--limit", "1", "--after", cursor[1])).out

    log = (await command("logs", "--request-id", "typed-1", "--output", "json")).document
    valid(log, "OperationLog")
    assert (log["kind"], log["outcome"]) == ("provision", "done")

    again = await command("provision", "typed", "--tenant", "t1", "--plan", PLAN, "--request-id", "typed-1")
    assert again.out.splitlines()[-1].startswith("typed is running")
    other = await ran("stop", "typed", "--request-id", "typed-1", env=platform_env)
    assert other.code == 2
    assert (await ran("purge", "typed", "--yes", env=platform_env)).code == 2
    assert (await ran("show", "typed", "--tenant", "t2", env=platform_env)).code == 2
    assert (await ran("stop", "typed", "--tenant", "t2", env=platform_env)).code == 2

    assert (await command("uninstall", "typed")).out.splitlines()[-1] == "typed is uninstalled"
    assert (await command("purge", "typed", "--yes")).out.splitlines()[-1] == "typed is purged"


@pytest.mark.usefixtures("worker")
async def test_an_operator_is_asked_about_an_upgrade_and_answers_by_the_command_that_is_shown(
    platform_env: dict[str, str],
) -> None:
    async def command(*words: str, code: int = 0) -> Ran:
        told = await ran(*words, env=platform_env)
        assert told.code == code, told
        return told

    await command("provision", "asked", "--tenant", "t1", "--plan", PLAN)
    await command("upgrade", "asked", "--plan", "asking", "--no-wait", "--request-id", "asked-2")
    async with asyncio.timeout(120):
        while not any(
            each["instance"] == "asked" and each["question"]
            for each in (await command("attention", "--output", "json")).document["items"]
        ):
            await asyncio.sleep(0.5)
    told = await command("attention")
    assert re.search(r"^asked +upgrade .* ready-1 .*exceeded quota", told.out, re.MULTILINE)
    shown = await command("show", "asked")
    assert re.search(r"^status +upgrading$", shown.out, re.MULTILINE)
    assert "parked: ready cannot go on: " in shown.out
    valid((await command("show", "asked", "--output", "json")).document, "Instance")
    # The row is told although nobody says at Temporal what is asked.
    without = await ran("show", "asked", env={**platform_env, "TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert (without.code, "parked" in without.out) == (0, False)
    waits = await command("stop", "asked", "--on-conflict", "wait", "--no-wait", "--request-id", "asked-3")
    assert "it waits for its turn" in waits.out
    answer = re.search(r"^  innkeeper (decide asked abort .*)$", told.out, re.MULTILINE)
    assert answer is not None
    await command(*answer[1].split())
    log = await command("logs", "asked", "--request-id", "asked-3", "--follow")
    assert log.out.splitlines()[-1] == "asked is stopped"
    first, second, _ = (await command("operations", "asked", "--output", "json")).document["items"]
    assert (first["kind"], second["kind"], second["outcome"]) == ("stop", "upgrade", "undone")
    assert [each["choice"] for each in second["decisions"]] == ["abort"]
    assert (await command("show", "asked", "--output", "json")).document["plan"] == PLAN
    repaired = await command("repair", "asked")
    assert repaired.out.splitlines()[-1] == "asked is stopped"
    await command("uninstall", "asked")
    await command("purge", "asked", "--yes")


@pytest.mark.usefixtures("worker")
async def test_what_cannot_be_provisioned_is_refused_with_the_way_out(platform_env: dict[str, str]) -> None:
    told = await ran("provision", "noplan", "--tenant", "t1", "--plan", "gold", "-o", "json", env=platform_env)
    assert told.code == 2
    assert "'gold' is not in the catalog" in told.document["error"]["message"]
    assert told.document["error"]["fix"].startswith("use one of: ")
    absent = await ran("stop", "nobody-here", env=platform_env)
    assert absent.code == 2
    assert (await ran("show", "nobody-here", env=platform_env)).code == 2
    assert (await ran("logs", "--request-id", "never-asked", env=platform_env)).code == 2


@pytest.mark.usefixtures("worker")
async def test_a_terminal_shows_a_provision_live(platform_env: dict[str, str]) -> None:
    terminal = on_terminal("provision", "live", "--tenant", "t1", "--plan", PLAN, env=platform_env)

    def watch() -> None:
        terminal.expect(r"provision live \(request [0-9a-f]{32}\)")
        for step in ("check", "claim", "prepare", "release", "ready", "record"):
            terminal.expect(f"✓.{{1,20}}{step}")
        terminal.expect("live is running at ")
        assert ended(terminal) == 0

    await asyncio.to_thread(watch)
    for words in (("uninstall", "live"), ("purge", "live", "--yes")):
        assert (await ran(*words, env=platform_env)).code == 0


async def test_rows_are_read_while_temporal_is_down(platform_env: dict[str, str]) -> None:
    down = {**platform_env, "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    assert (await ran("list", env=down)).code == 0
    assert (await ran("operations", env=down)).code == 0


async def test_a_platform_comes_up_once_and_goes_down(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    env = {"INNKEEPER_CATALOG": str(tmp_path / "no-catalog.yaml")}
    up = await ran("up", *state, "--no-worker", "--output", "json", env=env)
    try:
        assert up.code == 0, up
        valid(up.document, "PlatformStatus")
        assert up.document["running"] is True
        assert key_in(up.document["addresses_file"]) not in up.out
        second = await ran("up", *state, "--no-worker", env=env)
        assert second.code == 3
        assert "runs already" in second.err
        status = await ran("status", *state, env=env)
        assert status.code == 0
        assert status.out.splitlines()[0].startswith("Temporal UI")
        assert (await ran("list", *state, env=env)).code == 0
        sources = (await ran("config", *state, "-o", "json", env=env)).document["settings"]
        assert {"name": "supabase_key", "value": "********", "source": "platform"} in sources
    finally:
        down = await ran("down", *state, env=env)
    assert down.code == 0
    assert "stopped; the data stays" in down.out
    assert (await ran("status", *state, env=env)).code == 4


async def test_a_worker_that_reaches_nothing_says_so(platform_env: dict[str, str]) -> None:
    told = await ran("worker", env={**platform_env, "TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert told.code == 4
    assert "Temporal at 127.0.0.1:1 does not answer" in told.err
    assert "Traceback" not in told.err


async def test_parts_of_ones_own_stand_in_for_started_ones(platform_env: dict[str, str], tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    terminal = on_terminal("up", *state, "--no-worker", "--foreground", env=platform_env)

    def watch() -> None:
        terminal.expect(f"Temporal .{{0,20}}{re.escape(platform_env['TEMPORAL_ADDRESS'])}")
        terminal.expect("no worker: start one with `innkeeper worker --state-dir")
        terminal.sendintr()
        assert ended(terminal) == 0

    await asyncio.to_thread(watch)
