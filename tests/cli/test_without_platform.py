"""What the command line says where nothing runs: help, bad input, parts that do not answer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from innkeeper.cli.configuration import sources_of
from innkeeper.cli.documents import schema
from innkeeper.cli.main import application
from innkeeper.embedded.lock import StateLock
from innkeeper.embedded.supervisor import FAILURE
from innkeeper.model.errors import Cause

from .terminal import PROGRAM, run

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(get_command(application()).commands)  # type: ignore[attr-defined]
NOBODY = "127.0.0.1:1"
PROVISION = ("provision", "acme", "--tenant", "t1", "--plan", "starter")
ADOPT = ("adopt", "acme", "--tenant", "t1", "--plan", "starter")


def failure_schema() -> dict[str, object]:
    return {**schema(), "$ref": "#/$defs/Failure"}


def test_there_are_all_the_commands() -> None:
    operations = {"provision", "adopt", "stop", "start", "restart", "upgrade", "repair", "uninstall", "purge", "cancel"}
    operators = {"attention", "decide", "drift", "explain", "freeze", "unfreeze"}
    reading = {"show", "list", "operations", "logs", "timeline", "usage", "plans", "config"}
    assert set(COMMANDS) == operations | operators | reading | {"up", "down", "status", "doctor", "worker", "demo"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example_that_parses(command: str) -> None:
    told = CliRunner().invoke(application(), [command, "--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    example = re.search(r"Example: innkeeper (.+)", told.stdout)
    assert example is not None
    words = example[1].split()
    assert words[0] == command
    get_command(application()).commands[command].make_context(command, words[1:], resilient_parsing=False)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_its_example_are_documented(command: str) -> None:
    documentation = (ROOT / "docs" / "cli.md").read_text()
    assert re.search(rf"^\$ innkeeper {command}\b", documentation, re.MULTILINE)


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, innkeeper.cli.main as m; m.main(['--help']); print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.rpartition("\n\n")[2].split())
    assert loaded & {"temporalio", "pydantic", "supabase", "kubernetes", "aiohttp", "yaml"} == set()


def test_the_version_is_the_packages() -> None:
    told = run("--version")
    assert (told.code, told.err) == (0, "")
    assert re.fullmatch(r"innkeeper \d+\.\d+\.\d+\n", told.out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_produced(shell: str) -> None:
    script = run(env={"_INNKEEPER_COMPLETE": f"source_{shell}"})
    assert script.code == 0
    assert "_INNKEEPER_COMPLETE" in script.out


def test_completion_offers_the_catalogs_plans(tmp_path: Path) -> None:
    words = "innkeeper provision acme --plan "
    env = {
        "_INNKEEPER_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": "4",
        "INNKEEPER_CATALOG": str(ROOT / "catalog.yaml"),
    }
    assert run(env=env).out.split() == ["starter", "team"]
    assert run(env={**env, "INNKEEPER_CATALOG": str(tmp_path / "none.yaml")}).out.split() == []


def test_completion_offers_the_answers_to_a_question() -> None:
    env = {"_INNKEEPER_COMPLETE": "complete_bash", "COMP_WORDS": "innkeeper decide acme ", "COMP_CWORD": "3"}
    assert run(env=env).out.split() == ["retry", "skip", "abort"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("list --status sto", ["stopping", "stopped"]),
        ("operations --kind up", ["upgrade"]),
        ("operations --kind none", []),
    ],
)
def test_completion_offers_statuses_and_kinds(words: str, offered: list[str]) -> None:
    number = str(len(words.split()))
    env = {"_INNKEEPER_COMPLETE": "complete_bash", "COMP_WORDS": f"innkeeper {words}", "COMP_CWORD": number}
    assert run(env=env).out.split() == offered


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2() -> None:
    told = run()
    assert told.code == 2
    assert "Usage: innkeeper" in told.out + told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("provision", "A_B!", "--tenant", "t1", "--plan", "starter"), "name: 'A_B!' is not a DNS label"),
        (("provision", "acme", "--tenant", "-t-", "--plan", "starter"), "tenant: '-t-' is not a tenant id"),
        (("provision", "acme", "--tenant", "t1", "--plan", ""), "plan: '' is missing"),
        ((*PROVISION, "--request-id", "a b"), "request_id: 'a b' is not a request id"),
        (("stop", "x" * 41), "has 41 characters"),
        ((*ADOPT, "--namespace", "kube-system"), "namespace: 'kube-system' is the cluster's own"),
        ((*ADOPT, "--namespace", "A!"), "namespace: 'A!' is not a namespace's name"),
        ((*ADOPT, "--namespace", "shop", "--release", "W"), "release: 'W' is not a release's name"),
        ((*ADOPT, "--namespace", "shop"), "adopt: 'acme' is not confirmed, and nobody is there to ask"),
        (ADOPT, "Missing option '--namespace'"),
        (("purge", "acme"), "is not confirmed, and nobody is there to ask"),
        (("list", "--status", "asleep"), "--status: 'asleep' is no status"),
        (("operations", "--kind", "sing"), "--kind: 'sing' is no kind"),
        (("show", "-x-"), "No such option"),
        (("logs",), "give an instance's name, or --request-id, or both"),
        (("decide", "acme", "perhaps"), "'perhaps' is not one of 'retry', 'skip', 'abort'"),
        (("stop", "acme", "--on-conflict", "later"), "'later' is not one of 'reject', 'wait', 'replace'"),
        (("provision", "acme", "--plan", "starter"), "Missing option '--tenant'"),
        (("list", "--limit", "0"), "Input should be greater than or equal to 1"),
        (("sing",), "No such command 'sing'"),
        (("plans", "--catalog", "nowhere.yaml"), "catalog: 'nowhere.yaml' cannot be read"),
        (("up", "--kubeconfig", "nowhere"), "kubeconfig: 'nowhere' cannot be read"),
        (("up", "--worker", "--catalog", "nowhere.yaml"), "catalog: 'nowhere.yaml' cannot be read"),
    ],
)
def test_bad_input_is_one_clear_message_and_exit_code_2(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    told = run(*words, cwd=tmp_path, env={"INNKEEPER_STATE_DIR": str(tmp_path / "state")})
    assert told.code == 2, told
    assert told.out == ""
    assert told.err.startswith("innkeeper")
    assert named in told.err
    assert "fix:" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("words", [("list",), ("show", "acme"), ("operations",)])
def test_where_no_platform_runs_a_reader_is_told_so_with_the_code_of_what_is_missing(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    told = run(*words, cwd=tmp_path, env={"INNKEEPER_STATE_DIR": str(tmp_path / "state")})
    assert (told.code, told.out) == (4, "")
    assert f"no platform runs on {tmp_path / 'state'}" in told.err
    assert "innkeeper up" in told.err
    told = run(*words, cwd=tmp_path, env={"INNKEEPER_SUPABASE_URL": "http://127.0.0.1:1"})
    assert (told.code, "supabase_key: None is missing" in told.err) == (2, True)


@pytest.mark.parametrize(
    ("env", "missing"),
    [({}, "supabase_url"), ({"INNKEEPER_SUPABASE_URL": f"http://{NOBODY}"}, "supabase_key")],
)
def test_a_worker_that_knows_no_database_does_not_start(env: dict[str, str], missing: str, tmp_path: Path) -> None:
    words = ("worker", "--catalog", str(ROOT / "catalog.yaml"), "--temporal-namespace", "rooms")
    told = run(*words, cwd=tmp_path, env=env)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith(f"innkeeper worker: {missing}: None is missing")
    assert f"set INNKEEPER_{missing.upper()}" in told.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("stop", "A!"), 2),
        (("stop",), 2),
        (("list",), 4),
        (("stop", "acme", "--temporal-address", NOBODY), 4),
        (("attention", "--temporal-address", NOBODY), 4),
        (("decide", "acme", "retry", "--temporal-address", NOBODY), 4),
        (("list", "--supabase-url", f"http://{NOBODY}"), 4),
    ],
)
def test_a_program_gets_the_failure_as_a_document(words: tuple[str, ...], code: int) -> None:
    for output in (("--output", "json"), ("--output=json",), ("-o", "json")):
        told = run(*words, *output, env={"INNKEEPER_SUPABASE_KEY": "not-a-key"} if code == 4 else {})
        assert told.code == code, told
        jsonschema.validate(told.document, failure_schema())
        assert told.document["exit_code"] == code
        assert told.err.startswith("innkeeper")


def test_a_temporal_that_does_not_answer_is_named_with_the_fix() -> None:
    told = run(*PROVISION, "--temporal-address", NOBODY)
    assert told.code == 4
    assert told.out == ""
    assert f"Temporal at {NOBODY} does not answer: Connection refused" in told.err
    assert "innkeeper up" in told.err
    assert len(told.err.splitlines()) == 2


def test_shared_options_may_stand_before_the_command_and_the_one_after_it_wins() -> None:
    told = run("--output", "json", "--temporal-address", "127.0.0.1:2", "stop", "acme", "--temporal-address", NOBODY)
    assert told.code == 4
    assert told.document["error"]["object"] == NOBODY


def test_settings_are_shown_with_their_source_and_secrets_masked(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    platform = {
        "temporal_address": "127.0.0.1:7777",
        "temporal_namespace": "rooms",
        "supabase_url": "http://127.0.0.1:1",
        "supabase_service_key": "key-of-the-platform",
        "kubeconfig": "/platform/kubeconfig",
    }
    (state / "platform.json").write_text(json.dumps(platform))
    (tmp_path / ".env").write_text("INNKEEPER_TASK_QUEUE=from-dotenv\n")
    (tmp_path / "innkeeper.toml").write_text('operator_namespace = "from-toml"\n')
    told = run(
        *("config", "--output", "json", "--state-dir", str(state), "--catalog", "mine.yaml"),
        cwd=tmp_path,
        env={"INNKEEPER_HELM_SLOTS": "3"},
    )
    assert told.code == 0, told
    jsonschema.validate(told.document, {**schema(), "$ref": "#/$defs/Configuration"})
    shown = {each["name"]: (each["value"], each["source"]) for each in told.document["settings"]}
    assert shown["catalog"] == ("mine.yaml", "option")
    assert shown["helm_slots"] == (3, "INNKEEPER_HELM_SLOTS")
    assert shown["task_queue"] == ("from-dotenv", ".env")
    assert shown["operator_namespace"] == ("from-toml", "innkeeper.toml")
    assert shown["temporal_address"] == ("127.0.0.1:7777", "platform")
    assert shown["temporal_namespace"] == ("rooms", "platform")
    assert shown["supabase_key"] == ("********", "platform")
    assert shown["in_cluster"] == (False, "default")
    assert "key-of-the-platform" not in told.out


def test_a_setting_from_a_file_of_secrets_says_so(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "innkeeper_supabase_key").write_text("a-key-from-a-file")
    assert sources_of({"secrets_dir": secrets})["supabase_key"] == "secrets directory"


def test_temporals_own_configuration_comes_before_the_platforms(tmp_path: Path) -> None:
    (tmp_path / "platform.json").write_text('{"temporal_address": "127.0.0.1:7777"}')
    env = {"TEMPORAL_ADDRESS": "temporal.example:7233", "TEMPORAL_NAMESPACE": "mine"}
    shown = {
        each["name"]: (each["value"], each["source"])
        for each in run("config", "-o", "json", "--state-dir", str(tmp_path), env=env).document["settings"]
    }
    assert shown["temporal_address"] == ("temporal.example:7233", "TEMPORAL_ADDRESS")
    assert shown["temporal_namespace"] == ("mine", "TEMPORAL_NAMESPACE")


def test_plans_are_the_catalogs() -> None:
    told = run("plans", "--catalog", str(ROOT / "catalog.yaml"))
    assert [line.split()[0] for line in told.out.splitlines()] == ["plan", "starter", "team"]
    document = run("plans", "--catalog", str(ROOT / "catalog.yaml"), "--output", "json").document
    jsonschema.validate(document, {**schema(), "$ref": "#/$defs/PlanList"})
    assert [plan["name"] for plan in document["plans"]] == ["starter", "team"]


def test_nothing_running_is_said_and_stopping_it_is_harmless(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path))
    told = run("status", *state)
    assert told.code == 4
    assert "nothing runs" in told.out
    document = run("status", *state, "--output", "json").document
    jsonschema.validate(document, {**schema(), "$ref": "#/$defs/PlatformStatus"})
    assert document["running"] is False
    down = run("down", *state, "--output", "json")
    assert (down.code, down.document["stopped"]) == (0, False)


def test_a_platform_that_ended_by_itself_is_said_with_why(tmp_path: Path) -> None:
    (tmp_path / FAILURE).write_text(Cause(code="PartDied", message="temporal ended with exit code 1").model_dump_json())
    told = run("status", "--state-dir", str(tmp_path))
    assert told.code == 4
    assert "the last one ended by itself: temporal ended with exit code 1" in told.out


def test_a_platform_that_is_starting_is_said_with_its_process_and_its_logs(tmp_path: Path) -> None:
    held = StateLock(tmp_path)
    held.take()
    told = run("status", "--state-dir", str(tmp_path))
    held.release()
    assert told.code == 0
    assert told.out == f"starting on {tmp_path} (process {os.getpid()}); logs: {tmp_path / 'logs'}\n"


def test_the_doctor_names_what_is_missing_and_exits_with_4(tmp_path: Path) -> None:
    well = run("doctor", "--output", "json")
    assert well.code == 0, well
    jsonschema.validate(well.document, {**schema(), "$ref": "#/$defs/Diagnosis"})
    ill = run("doctor", env={"INNKEEPER_HELM": str(tmp_path / "no-helm")})
    assert ill.code == 4
    assert "no-helm" in ill.out
    assert re.search(r"^✗ +helm ", ill.out, re.MULTILINE)


def test_the_schema_in_the_documentation_is_the_codes() -> None:
    written = json.loads((ROOT / "docs" / "cli.schema.json").read_text())
    assert written == json.loads(json.dumps(schema()))
    jsonschema.Draft202012Validator.check_schema(written)
    made = subprocess.run([sys.executable, "-m", "innkeeper.cli.documents"], capture_output=True, text=True, check=True)
    assert json.loads(made.stdout) == written


def test_a_closed_pipe_is_no_crash() -> None:
    script = f"{PROGRAM} config | head -n 1"
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert told.stdout.startswith("setting")
    assert told.stderr == ""
