"""`innkeeper adopt` shows what it will mark, asks, and does it only then."""

from __future__ import annotations

import asyncio
import uuid

import jsonschema
import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from innkeeper.cli.documents import schema

from .terminal import Ran, ended, on_terminal, run

SHOP = ("--namespace", "shop", "--release", "web", "--tenant", "t1", "--plan", "starter")


async def ran(*words: str, env: dict[str, str]) -> Ran:
    return await asyncio.to_thread(lambda: run(*words, env=env))


def a_name() -> str:
    return f"i{uuid.uuid4().hex[:8]}"


async def asked(temporal: Client, name: str) -> bool:
    """Whether the operation was ever asked for, by Temporal's own view: its lists come later."""
    try:
        await temporal.get_workflow_handle(f"instance/{name}").describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def test_a_dry_run_shows_and_does_nothing(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    told = await ran("adopt", name, *SHOP, "--dry-run", env=scripted)
    assert (told.code, told.err) == (0, "")
    first, header, *rows, digest, last = told.out.splitlines()
    assert first == f"{name}: release web in namespace shop at revision 7 (room-0.1.0), plan starter"
    assert header.split() == ["object", "what"]
    assert rows == [
        "mark    Namespace shop        label innkeeper.dev/plan=starter",
        "beside  CronJob shop/nightly  of others: stopped, started and purged with the instance",
    ]
    assert digest == "To have just this done by a script: --yes --confirmed as-shown"
    assert last.startswith("2 pods run on untouched.")
    assert not await asked(temporal, name)


async def test_a_program_gets_the_preview_as_a_document(scripted: dict[str, str]) -> None:
    told = await ran("adopt", a_name(), *SHOP, "--dry-run", "--output", "json", env=scripted)
    jsonschema.validate(told.document, {**schema(), "$ref": "#/$defs/Adoption"})
    assert told.document["marked"] == [{"object": "Namespace shop", "what": "label innkeeper.dev/plan=starter"}]


async def test_a_script_says_yes(scripted: dict[str, str]) -> None:
    name = a_name()
    told = await ran("adopt", name, *SHOP, "--yes", env=scripted)
    assert (told.code, told.out.splitlines()[-1]) == (0, f"{name} is running")
    document = (await ran("adopt", name, *SHOP, "--yes", "--output", "json", env=scripted)).document
    assert document["kind"] == "adopt"


async def test_a_script_says_yes_to_what_was_shown_alone(scripted: dict[str, str]) -> None:
    told = await ran("adopt", a_name(), *SHOP, "--yes", "--confirmed", "as-shown", env=scripted)
    assert told.code == 0, told
    told = await ran("adopt", a_name(), *SHOP, "--yes", "--confirmed", "otherwise", "--output", "json", env=scripted)
    assert (told.code, told.document["error"]["code"]) == (2, "NotAsConfirmed")


async def test_what_a_person_was_shown_is_what_is_done(scripted: dict[str, str]) -> None:
    def typed() -> tuple[str, int]:
        terminal = on_terminal("adopt", a_name(), *SHOP[:-1], "changed", env=scripted)
        terminal.expect(r"Adopt i\w+\?")
        terminal.sendline("y")
        code = ended(terminal)
        return str(terminal.before), code

    said, code = await asyncio.to_thread(typed)
    assert (code, "is not what it was" in said) == (2, True)


@pytest.mark.parametrize(("answer", "code", "last"), [("y", 0, "is running"), ("n", 2, "nothing was touched")])
async def test_a_person_is_shown_it_and_asked(
    scripted: dict[str, str], temporal: Client, answer: str, code: int, last: str
) -> None:
    name = a_name()

    def typed() -> tuple[str, str, int]:
        terminal = on_terminal("adopt", name, *SHOP, env=scripted)
        terminal.expect(rf"Adopt {name}\?")
        before = str(terminal.before)
        terminal.sendline(answer)
        exit_code = ended(terminal)
        return before, str(terminal.before), exit_code

    shown, after, exit_code = await asyncio.to_thread(typed)
    assert "CronJob shop/nightly" in shown
    assert (exit_code, last in after) == (code, True)
    assert await asked(temporal, name) is (code == 0)


async def test_what_was_asked_before_is_not_asked_about_again(scripted: dict[str, str]) -> None:
    name = a_name()

    def typed() -> tuple[int, str]:
        terminal = on_terminal("adopt", name, *SHOP, "--request-id", "asked-before", env=scripted)
        code = ended(terminal)
        return code, str(terminal.before)

    code, said = await asyncio.to_thread(typed)
    assert (code, "Adopt" in said) == (0, False)
    told = await ran("adopt", name, *SHOP, "--request-id", "asked-before", "--dry-run", env=scripted)
    assert told.out == f"{name}: asked for before under this request id; nothing would be done anew\n"


async def test_what_would_be_refused_is_said_before_anybody_is_asked(scripted: dict[str, str]) -> None:
    told = await ran("adopt", a_name(), *SHOP[:-1], "refused", "--dry-run", env=scripted)
    assert (told.code, told.out) == (2, "")
    assert "'web' is no release in namespace shop" in told.err
