"""What an operator reads and types where an operation is parked, and what waiting requests look like."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess

import pytest
from temporalio.client import Client

from innkeeper.model.messages import Progress

from .terminal import ended, on_terminal, started
from .test_operations import a_name, beside, go, ran, valid


async def parked(name: str, env: dict[str, str], script: str = "parked") -> None:
    """An operation that asks an operator."""
    words = ("--asked-by", script, "--request-id", f"r-{name}", "--no-wait")
    assert (await ran("upgrade", name, *words, env=env)).code == 0
    async with asyncio.timeout(60):
        while (await ran("logs", name, "--output", "json", env=env)).document["question"] is None:
            await asyncio.sleep(0.05)


async def attended(*names: str, env: dict[str, str]) -> None:
    """Wait until these instances are listed with what they ask: Temporal's lists come a moment after what they list."""
    async with asyncio.timeout(60):
        while True:
            items = (await ran("attention", "--output", "json", env=env)).document["items"]
            if {each["instance"] for each in items if each["question"]} >= set(names):
                return


async def heard(program: subprocess.Popen[str], last: str) -> list[str]:
    """What a program that goes on has said before this line."""
    assert program.stdout is not None
    said: list[str] = []
    while (line := await asyncio.to_thread(program.stdout.readline)) != last:
        assert line, said
        said.append(line)
    return said


async def test_attention_lists_what_is_asked_with_the_commands_that_answer(scripted: dict[str, str]) -> None:
    nothing = await ran("attention", env=scripted)
    assert (nothing.code, nothing.out) == (0, "nothing waits for an operator\n")
    one, two = a_name(), a_name()
    await parked(one, scripted)
    await parked(two, scripted, "stuck")
    await attended(one, two, env=scripted)
    told = await ran("attention", "--temporal-namespace", "default", env=scripted)
    assert told.code == 0
    assert re.match(r"instance +kind +since +question +answer by +cause\n", told.out)
    assert re.search(
        rf"^{one} +upgrade +[-0-9]+ [:0-9]+ +release-1 +[-0-9]+ [:0-9]+ +the image cannot be pulled \(Pod inn-acme",
        told.out,
        re.MULTILINE,
    )
    assert f"  innkeeper decide {one} retry --question release-1 --temporal-namespace default\n" in told.out
    assert f"  innkeeper decide {two} skip --question undo-release-1 --temporal-namespace default\n" in told.out
    document = (await ran("attention", "--output", "json", env=scripted)).document
    valid(document, "Attention")
    assert [each["instance"] for each in document["items"]] == [one, two]
    # What was printed is what answers.
    assert (await ran("decide", one, "retry", "--question", "release-1", env=scripted)).code == 0
    assert (await ran("decide", two, "skip", "--question", "undo-release-1", env=scripted)).code == 0
    assert (await ran("logs", one, "--follow", env=scripted)).code == 0
    assert (await ran("logs", two, "--follow", env=scripted)).code == 1


async def test_a_decision_is_said_and_kept_with_who_took_it(scripted: dict[str, str]) -> None:
    name = a_name()
    await parked(name, scripted)
    told = await ran("decide", name, "retry", "--note", "image pushed", env=scripted)
    assert told.code == 0
    assert told.out.splitlines()[0] == f"retry is taken for release of {name}"
    log = await ran("logs", name, "--follow", env=scripted)
    assert re.search(r"release +decided in \d+\.\d\d s: retry by \S+@\S+: image pushed\n", log.out)
    await parked(name, scripted, "stuck")
    told = await ran("decide", name, "abort", "--operator", "ann", "--output", "json", env=scripted)
    assert told.code == 0
    valid(told.document, "Decided")
    assert (told.document["choice"], told.document["operator"], told.document["undo"]) == ("abort", "ann", True)


async def test_a_decision_that_answers_nothing_is_bad_input(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    nothing = await ran("decide", name, "retry", env=scripted)
    assert nothing.code == 2
    assert f"name: '{name}' has no running operation: there is nothing to decide" in nothing.err
    assert "fix:     see what waits for an operator: `innkeeper attention`" in nothing.err
    await ran("stop", name, "--asked-by", "held", "--no-wait", env=scripted)
    running = await ran("decide", name, "retry", env=scripted)
    assert running.code == 2
    assert "the operation is not parked" in running.err
    await go(temporal, name)
    await ran("logs", name, "--follow", env=scripted)
    await parked(name, scripted)
    other = await ran("decide", name, "skip", "--output", "json", env=scripted)
    assert other.code == 2
    valid(other.document, "Failure")
    assert "'skip' is no answer to release-1" in other.document["error"]["message"]
    assert (await ran("decide", name, "retry", env=scripted)).code == 0


async def test_logs_show_a_parked_operation_with_the_commands_that_answer(scripted: dict[str, str]) -> None:
    name = a_name()
    await parked(name, scripted)
    told = await ran("logs", name, env=scripted)
    assert told.code == 0
    assert "release      parked: the image cannot be pulled (Pod inn-acme/web-0) Fix: mend it\n" in told.out
    assert re.search(r"^an operator is asked; abort is taken at .* UTC, or now one of:$", told.out, re.MULTILINE)
    assert f"  innkeeper decide {name} retry --question release-1\n    to try the step again\n" in told.out
    log = (await ran("logs", name, "--output", "json", env=scripted)).document
    valid(log, "OperationLog")
    assert log["question"]["id"] == "release-1"
    assert (await ran("decide", name, "retry", env=scripted)).code == 0


async def test_who_waits_in_a_pipe_is_told_what_is_asked_and_how_it_was_answered(scripted: dict[str, str]) -> None:
    name = a_name()
    waiting = started("upgrade", name, "--asked-by", "stuck", env=scripted)
    asked = await heard(waiting, f"  innkeeper decide {name} abort --question undo-release-1\n")
    assert any(re.search(r"release +parked: the image cannot be pulled", line) for line in asked)
    assert f"  innkeeper decide {name} skip --question undo-release-1\n" in asked
    assert (await ran("decide", name, "retry", "--operator", "ann", env=scripted)).code == 0
    out, err = await asyncio.to_thread(waiting.communicate, timeout=90)
    assert (waiting.returncode, err) == (0, "")
    assert re.search(r"release +decided in \d+\.\d\d s: retry by ann\n", out)
    assert out.splitlines()[-1] == f"{name} is running"


async def test_who_waits_at_a_terminal_is_shown_the_question_until_it_is_answered(scripted: dict[str, str]) -> None:
    name = a_name()
    terminal = on_terminal("upgrade", name, "--asked-by", "parked", env=scripted)

    def read() -> None:
        terminal.expect(r"\?.{1,20}ask about release")
        terminal.expect("an operator is asked; abort is taken at")
        terminal.expect(f"innkeeper decide {name} abort --question release-1")

    def see_the_end() -> None:
        terminal.expect("→.{1,20}ask about release.*retry by ann")
        terminal.expect(f"{name} is running")
        assert ended(terminal) == 0

    await beside(read)
    assert (await ran("decide", name, "retry", "--operator", "ann", env=scripted)).code == 0
    await beside(see_the_end)


async def test_cancelling_what_asks_about_an_undo_says_that_it_still_asks(scripted: dict[str, str]) -> None:
    name = a_name()
    await parked(name, scripted, "stuck")
    told = await ran("cancel", name, "--no-wait", env=scripted)
    assert told.code == 0, told
    assert "parked: the undo of release keeps failing: the image cannot be pulled" in told.out
    assert f"  innkeeper decide {name} abort --question undo-release-1\n" in told.out
    assert (await ran("decide", name, "abort", env=scripted)).code == 0
    assert (await ran("logs", name, "--follow", env=scripted)).code == 1


async def test_a_request_that_waits_says_for_what_and_then_runs(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    await ran("stop", name, "--asked-by", "held", "--no-wait", "--request-id", f"h-{name}", env=scripted)
    asked = ("start", name, "--on-conflict", "wait", "--request-id", f"w-{name}")
    told = await ran(*asked, "--no-wait", env=scripted)
    assert told.code == 0
    assert "it waits for its turn" in told.out
    assert f"follow: innkeeper logs {name} --request-id w-{name} --follow\n" in told.out
    document = (await ran(*asked, "--no-wait", "--output", "json", env=scripted)).document
    valid(document, "Asked")
    assert document["run_id"] is None
    log = await ran("logs", name, "--request-id", f"w-{name}", env=scripted)
    assert log.out == f"start {name} (request w-{name}): running, waiting for stop {name} (request h-{name}) to end\n"
    valid((await ran("logs", name, "--request-id", f"w-{name}", "-o", "json", env=scripted)).document, "OperationLog")
    following = started(*asked, env=scripted)
    assert await heard(following, f"waiting for stop {name} (request h-{name}) to end\n") == [
        f"start {name} (request w-{name})\n"
    ]
    await go(temporal, name)
    out, err = await asyncio.to_thread(following.communicate, timeout=90)
    assert (following.returncode, err) == (0, "")
    assert out.splitlines()[-1] == f"{name} is running"


async def test_ctrl_c_on_a_waiting_request_says_that_it_still_waits(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    await ran("stop", name, "--asked-by", "held", "--no-wait", env=scripted)
    terminal = on_terminal("start", name, "--on-conflict", "wait", "--request-id", f"w-{name}", env=scripted)

    def interrupt() -> None:
        terminal.expect(f"waiting for stop {name}")
        terminal.sendintr()
        terminal.expect(f"interrupted, and start of {name} waits for its turn")
        terminal.expect(f"follow:  innkeeper logs {name} --request-id w-{name} --follow")
        assert ended(terminal) == 130

    await beside(interrupt)
    await go(temporal, name)
    assert (await ran("logs", name, "--request-id", f"w-{name}", "--follow", env=scripted)).code == 0


async def test_uninstall_replaces_what_runs_and_who_lost_the_place_exits_with_1(
    scripted: dict[str, str], temporal: Client
) -> None:
    name = a_name()
    await ran("stop", name, "--asked-by", "held", "--no-wait", env=scripted)
    assert (await ran("uninstall", name, env=scripted)).out.splitlines()[-1] == f"{name} is uninstalled"
    await parked(name, scripted)
    loser = started("start", name, "--on-conflict", "wait", "--output", "json", env=scripted)
    handle = temporal.get_workflow_handle(f"instance/{name}")
    async with asyncio.timeout(30):
        while (await handle.query("progress", result_type=Progress)).next is None:
            await asyncio.sleep(0.05)
    assert (await ran("uninstall", name, env=scripted)).code == 0
    out, _ = await asyncio.to_thread(loser.communicate, timeout=90)
    assert loser.returncode == 1
    assert json.loads(out)["error"]["code"] == "Displaced"


@pytest.mark.parametrize("way", ["wait", "replace"])
async def test_the_only_place_is_told_to_be_taken(scripted: dict[str, str], temporal: Client, way: str) -> None:
    name = a_name()
    await ran("stop", name, "--asked-by", "held", "--no-wait", env=scripted)
    await ran("start", name, "--on-conflict", "wait", "--no-wait", "--request-id", f"w-{name}", env=scripted)
    told = await ran("restart", name, "--on-conflict", way, "--no-wait", env=scripted)
    if way == "wait":
        assert told.code == 3
        assert f"{name}: start waits already (request w-{name})" in told.err
        await go(temporal, name)
    else:
        assert told.code == 0, told
