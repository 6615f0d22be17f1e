"""How failures become messages, documents and exit codes."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import pytest
import typer

from innkeeper.cli.exits import Exit, exit_code_of
from innkeeper.cli.failures import reporting
from innkeeper.cli.session import Output, Session
from innkeeper.embedded.errors import AlreadyRuns, PlatformError, ToolMissing
from innkeeper.model.errors import (
    BadInput,
    Busy,
    Conflict,
    Forbidden,
    IllegalTransition,
    InnkeeperError,
    MissingExtra,
    OperationFailed,
    Refused,
    Unreachable,
)

from .terminal import run, started


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperationFailed("it failed", code="Unreachable"), Exit.FAILED),
        (BadInput("name", "x", "is bad", fix="mend it"), Exit.BAD_INPUT),
        (IllegalTransition("status", "x", "is bad", fix="mend it", code="Own"), Exit.BAD_INPUT),
        (Refused("the name is taken", code="DuplicateName"), Exit.BAD_INPUT),
        (Refused("the database does not answer", code="Unreachable"), Exit.UNREACHABLE),
        (Refused("cancelled during check", code="Cancelled"), Exit.FAILED),
        (Busy("stop runs"), Exit.BUSY),
        (AlreadyRuns(Path("state"), 1), Exit.BUSY),
        (PlatformError("it runs", code="AlreadyRuns"), Exit.BUSY),
        (PlatformError("context: None is missing", code="BadInput"), Exit.BAD_INPUT),
        (PlatformError("it died"), Exit.UNREACHABLE),
        (ToolMissing("no node"), Exit.UNREACHABLE),
        (Unreachable("silence", code="NoWorker"), Exit.UNREACHABLE),
        (Forbidden("no", code="TemporalForbidden"), Exit.UNREACHABLE),
        (MissingExtra("no supabase"), Exit.UNREACHABLE),
        (Conflict("changed"), Exit.FAILED),
    ],
)
def test_an_error_has_its_exit_code(error: InnkeeperError, code: Exit) -> None:
    assert exit_code_of(error) is code


def failing(session: Session, error: BaseException) -> int:
    with pytest.raises(typer.Exit) as left, reporting(session):
        raise error
    return left.value.exit_code


def test_an_error_nobody_foresaw_names_type_and_place_and_not_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(Session("innkeeper stop", {}), ZeroDivisionError("the password is 123")) == 70
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("innkeeper stop: ZeroDivisionError in tests/cli/test_failures.py:")
    assert "this is a defect" in told.err
    assert "INNKEEPER_DEBUG=1" in told.err
    assert "Traceback" not in told.err
    assert "123" not in told.err


def test_its_traceback_is_shown_to_whoever_asks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNKEEPER_DEBUG", "1")
    assert failing(Session("innkeeper stop", {"output": Output.JSON}), ZeroDivisionError("why")) == 70
    told = capsys.readouterr()
    assert "Traceback" in told.err
    assert json.loads(told.out)["error"]["code"] == "Defect"


def test_the_request_is_named_only_where_something_may_have_happened(capsys: pytest.CaptureFixture[str]) -> None:
    for error, named in [(Unreachable("silence"), True), (Busy("stop runs"), False)]:
        failing(Session("innkeeper stop", {}, request_id="r-1"), error)
        assert ("r-1" in capsys.readouterr().err) is named


def test_ctrl_c_before_the_request_was_asked_says_only_that() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        host, port = deaf.getsockname()
        waiting = started("stop", "acme", "--temporal-address", f"{host}:{port}")
        deaf.settimeout(30)
        connection, _ = deaf.accept()
        time.sleep(0.5)
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=90)
        connection.close()
    assert (waiting.returncode, out) == (130, "")
    assert err == "innkeeper stop: interrupted\n"


@pytest.mark.parametrize("text", ["task_queue = ", "helm_slots = 0"])
def test_a_bad_settings_file_is_bad_input(text: str, tmp_path: Path) -> None:
    (tmp_path / "innkeeper.toml").write_text(text)
    told = run("config", cwd=tmp_path)
    assert told.code == 2, told
    assert "fix:" in told.err
