"""How commands follow operations to their ends, good and bad, in pipes and on a terminal."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pexpect
import pytest
from temporalio.client import Client

from innkeeper.cli.documents import schema

from .terminal import Ran, ended, on_terminal, run, started

PROVISION = ("--tenant", "t1", "--plan", "starter")


async def ran(*words: str, env: dict[str, str]) -> Ran:
    """Run beside the worker, which lives in this process's loop."""
    return await asyncio.to_thread(lambda: run(*words, env=env))


async def beside(task: Callable[[], object]) -> None:
    await asyncio.to_thread(task)


def a_name() -> str:
    return f"i{uuid.uuid4().hex[:8]}"


def valid(document: object, model: str) -> None:
    jsonschema.validate(document, {**schema(), "$ref": f"#/$defs/{model}"})


async def go(temporal: Client, name: str) -> None:
    await temporal.get_workflow_handle(f"instance/{name}").signal("go")


async def test_in_a_pipe_progress_is_plain_lines_and_the_last_says_the_end(scripted: dict[str, str]) -> None:
    name = a_name()
    told = await ran("provision", name, *PROVISION, "--request-id", f"r-{name}", env=scripted)
    assert (told.code, told.err) == (0, "")
    first, *events, last = told.out.splitlines()
    assert first == f"provision {name} (request r-{name})"
    assert last == f"{name} is running"
    assert [line.split()[2:4] for line in events[:2]] == [["check", "started"], ["check", "done"]]
    assert all(re.match(r" +\d+\.\d\d s  \w+ +(started|done in \d+\.\d\d s)$", line) for line in events)
    assert "\x1b" not in told.out


async def test_a_program_gets_one_document_and_nothing_else(scripted: dict[str, str]) -> None:
    name = a_name()
    told = await ran("provision", name, *PROVISION, "--output", "json", env=scripted)
    assert (told.code, told.err) == (0, "")
    valid(told.document, "OperationResult")
    assert told.document["status"] == "running"


async def test_without_waiting_the_request_is_named_and_how_to_follow_it(scripted: dict[str, str]) -> None:
    name = a_name()
    told = await ran("stop", name, "--no-wait", env=scripted)
    assert told.code == 0
    assert re.search(rf"stop {name}: asked \(request [0-9a-f]{{32}}\)", told.out)
    assert f"innkeeper logs {name} --follow" in told.out
    document = (await ran("start", name, "--no-wait", "--request-id", "s1", "-o", "json", env=scripted)).document
    valid(document, "Asked")
    assert (document["request_id"], document["kind"]) == ("s1", "start")


@pytest.mark.parametrize("kind", ["stop", "start", "restart", "upgrade", "repair", "uninstall", "purge"])
async def test_every_operation_is_asked_for(kind: str, scripted: dict[str, str]) -> None:
    sure = ("--yes",) if kind == "purge" else ()
    told = await ran(kind, a_name(), *sure, "--tenant", "t1", "--output", "json", env=scripted)
    assert told.code == 0, told
    assert told.document["kind"] == kind


async def test_a_failure_names_cause_object_fix_and_request(scripted: dict[str, str]) -> None:
    told = await ran("stop", a_name(), "--request-id", "f-1", "--asked-by", "failed", env=scripted)
    assert told.code == 1
    assert told.err.splitlines() == [
        "innkeeper stop: the image cannot be pulled",
        "  object:  Pod inn-acme/web-0",
        "  fix:     mend it",
        "  request: f-1",
    ]
    assert "ready        failed" in told.out
    assert "ready        undone" in told.out


async def test_a_program_gets_the_end_of_a_failed_operation(scripted: dict[str, str]) -> None:
    told = await ran("stop", a_name(), "--request-id", "f-2", "--asked-by", "failed", "-o", "json", env=scripted)
    assert told.code == 1
    valid(told.document, "Failure")
    assert told.document["request_id"] == "f-2"
    assert told.document["error"]["code"] == "ImagePull"
    assert told.document["result"]["outcome"] == "undone"


async def test_an_abnormal_end_names_the_request_too(scripted: dict[str, str]) -> None:
    told = await ran("stop", a_name(), "--request-id", "f-3", "--asked-by", "silent", env=scripted)
    assert told.code == 1
    assert "ended abnormally" in told.err
    assert "request: f-3" in told.err


async def test_a_refusal_is_bad_input(scripted: dict[str, str]) -> None:
    told = await ran("stop", a_name(), "--asked-by", "refused", env=scripted)
    assert told.code == 2
    assert "name: 'acme' is taken" in told.err


async def test_another_operation_in_the_way_is_busy(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    await ran("stop", name, "--asked-by", "held", "--no-wait", "--request-id", f"h-{name}", env=scripted)
    told = await ran("start", name, env=scripted)
    assert told.code == 3
    assert f"{name}: stop runs since" in told.err
    await go(temporal, name)


async def test_a_request_asked_twice_is_one_operation(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    once = ("--request-id", f"once-{name}", "--asked-by", "held", "--no-wait", "--output", "json")
    both = await asyncio.gather(ran("restart", name, *once, env=scripted), ran("restart", name, *once, env=scripted))
    assert both[0].document["run_id"] == both[1].document["run_id"]
    other = await ran("stop", name, *once, env=scripted)
    assert other.code == 2
    assert "was used with other arguments" in other.err
    await go(temporal, name)


async def test_logs_show_the_latest_operation_and_follow_it(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    await ran("stop", name, "--asked-by", "held", "--no-wait", "--request-id", f"l-{name}", env=scripted)
    so_far = await ran("logs", name, "--output", "json", env=scripted)
    assert so_far.code == 0, so_far
    valid(so_far.document, "OperationLog")
    assert (so_far.document["outcome"], so_far.document["asked_by"]) == ("running", "held")
    following = started("logs", name, "--follow", "--output", "json", env=scripted)
    await asyncio.sleep(1)
    assert following.poll() is None
    await go(temporal, name)
    out, err = await asyncio.to_thread(following.communicate, timeout=90)
    assert (following.returncode, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    for event in events:
        valid(event, "StepEvent")
    assert [event["step"] for event in events[-2:]] == ["record", "record"]
    told = await ran("logs", name, env=scripted)
    assert f"stop {name} (request l-{name}): done" in told.out
    assert "record       done" in told.out


async def test_a_timeline_is_told_and_drawn(scripted: dict[str, str], tmp_path: Path) -> None:
    name = a_name()
    await ran("provision", name, *PROVISION, "--request-id", f"r-{name}", env=scripted)
    picture = tmp_path / "timeline.svg"
    told = await ran("timeline", name, "--svg", str(picture), env=scripted)
    first, *spans, last = told.out.splitlines()
    assert re.match(rf"provision {name} \(request r-{name}\): \d+\.\d\d s, \d+ history events$", first)
    assert spans
    assert all(re.search(r"█+ +\d+\.\d\d s (queue|workflow|waiting)$", line) for line in spans)
    assert last.startswith("queue ")
    drawn = ET.fromstring(picture.read_text())  # noqa: S314  # our own
    assert len([each for each in drawn.iter() if (each.text or "").strip() in {"queue", "workflow"}]) == len(spans)
    document = (await ran("timeline", "--request-id", f"r-{name}", "--output", "json", env=scripted)).document
    valid(document, "Timeline")
    assert len(document["spans"]) == len(spans)


async def test_a_timeline_that_cannot_be_told_or_drawn_says_why(scripted: dict[str, str], tmp_path: Path) -> None:
    name = a_name()
    unknown = await ran("timeline", name, env=scripted)
    assert (unknown.code, "has no operation that Temporal still knows" in unknown.err) == (2, True)
    await ran("provision", name, *PROVISION, env=scripted)
    nowhere = tmp_path / "not-there" / "timeline.svg"
    told = await ran("timeline", name, "--svg", str(nowhere), env=scripted)
    assert told.code == 2
    assert f"svg: '{nowhere}' cannot be written: No such file or directory" in told.err, told.err
    assert (await ran("timeline", env=scripted)).code == 2


async def test_logs_of_a_failed_operation_end_with_its_code(scripted: dict[str, str]) -> None:
    name = a_name()
    await ran("stop", name, "--asked-by", "failed", "--request-id", f"lf-{name}", env=scripted)
    shown = await ran("logs", name, env=scripted)
    assert shown.code == 0
    assert "the image cannot be pulled" in shown.out
    followed = await ran("logs", name, "--follow", "--output", "json", env=scripted)
    assert followed.code == 1
    valid(json.loads(followed.out.splitlines()[-1]), "Failure")


async def test_a_running_operation_is_cancelled(scripted: dict[str, str]) -> None:
    for output in ("text", "json"):
        name = a_name()
        await ran("stop", name, "--asked-by", "held", "--no-wait", env=scripted)
        told = await ran("cancel", name, "--output", output, env=scripted)
        assert told.code == 0, told
        if output == "json":
            valid(told.document, "Cancelled")
            assert told.document["result"]["outcome"] == "cancelled"
        else:
            assert told.out.splitlines()[-1] == f"stop {name} is cancelled; the instance is error"


async def test_there_must_be_something_to_cancel(scripted: dict[str, str]) -> None:
    name = a_name()
    told = await ran("cancel", name, env=scripted)
    assert told.code == 2
    assert f"name: '{name}' has no running operation" in told.err


def seconds_of_release(terminal: pexpect.spawn[str]) -> float:
    """How long the step has taken that runs now, as it is drawn next."""
    terminal.expect(r"release +(\d+\.\d) s")
    assert isinstance(terminal.match, re.Match)
    return float(terminal.match[1])


async def test_a_terminal_shows_each_step_while_it_runs(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    terminal = on_terminal("provision", name, *PROVISION, "--asked-by", "held", env=scripted)

    def watch() -> None:
        terminal.expect("✓.{1,20}check.{1,30}\\d+\\.\\d\\d s")
        terminal.expect("✓.{1,20}claim")
        shown = [seconds_of_release(terminal)]
        # A busy machine draws less often than ten times a second, and any tenth may be left out.
        while shown[-1] < shown[0] + 0.4:
            shown.append(seconds_of_release(terminal))
        assert shown == sorted(shown)

    await beside(watch)
    await go(temporal, name)

    def see_the_end() -> None:
        terminal.expect("✓.{1,20}record")
        terminal.expect(f"{name} is running")
        assert ended(terminal) == 0

    await beside(see_the_end)


async def test_a_terminal_shows_the_failed_step_and_its_undoing(scripted: dict[str, str]) -> None:
    terminal = on_terminal("stop", a_name(), "--asked-by", "failed", env=scripted)

    def watch() -> None:
        terminal.expect("✗.{1,20}ready")
        terminal.expect("↩.{1,20}undo ready")
        terminal.expect("innkeeper stop: .*the image cannot be pulled")
        assert ended(terminal) == 1

    await beside(watch)


async def test_ctrl_c_leaves_the_operation_running_and_says_what_to_do(
    scripted: dict[str, str], temporal: Client
) -> None:
    name = a_name()
    terminal = on_terminal("stop", name, "--asked-by", "held", "--temporal-namespace", "default", env=scripted)

    def interrupt() -> None:
        seconds_of_release(terminal)
        terminal.sendintr()
        terminal.expect(f"interrupted, and stop of {name} goes on")
        terminal.expect(f"follow:  innkeeper logs {name} --follow --temporal-namespace default")
        terminal.expect(f"cancel:  innkeeper cancel {name} --temporal-namespace default")
        # The cursor is shown again.
        assert ended(terminal) == 130

    await beside(interrupt)
    await go(temporal, name)
    told = await ran("logs", name, "--follow", env=scripted)
    assert told.code == 0
    assert told.out.splitlines()[-1] == f"{name} is stopped"


async def test_an_interrupted_program_gets_a_document(scripted: dict[str, str], temporal: Client) -> None:
    name = a_name()
    waiting = started("stop", name, "--asked-by", "held", "--output", "json", env=scripted)
    handle = temporal.get_workflow_handle(f"instance/{name}")
    async with asyncio.timeout(60):
        while waiting.poll() is None:
            await asyncio.sleep(1)
            if [each async for each in temporal.list_workflows(f"WorkflowId = 'instance/{name}'")]:
                break
    waiting.send_signal(signal.SIGINT)
    out, _ = await asyncio.to_thread(waiting.communicate, timeout=90)
    assert waiting.returncode == 130
    document = json.loads(out)
    valid(document, "Failure")
    assert document["error"]["code"] == "Interrupted"
    assert document["request_id"]
    await handle.signal("go")


async def test_purge_asks_on_a_terminal(scripted: dict[str, str]) -> None:
    def answered(answer: str) -> tuple[int, str]:
        terminal = on_terminal("purge", a_name(), env=scripted)
        terminal.expect("There is no way back")
        terminal.expect(r"Purge \w+\? \[y/N\]")
        terminal.sendline(answer)
        return ended(terminal), str(terminal.before)

    def talk() -> None:
        code, said = answered("n")
        assert code == 2
        assert "was not confirmed; nothing was touched" in said
        assert answered("y")[0] == 0
        interrupted = on_terminal("purge", a_name(), env=scripted)
        interrupted.expect(r"\[y/N\]")
        interrupted.sendintr()
        assert ended(interrupted) == 130

    await beside(talk)


async def test_the_cursor_comes_back_after_live_progress(scripted: dict[str, str]) -> None:
    terminal = on_terminal("restart", a_name(), env=scripted)

    def watch() -> None:
        terminal.expect(re.escape("\x1b[?25l"))
        terminal.expect(re.escape("\x1b[?25h"))
        terminal.expect(pexpect.EOF)

    await beside(watch)
