"""What was used, for people, programs and spreadsheets."""

from __future__ import annotations

import asyncio
import csv
import io
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import jsonschema
import pytest

from innkeeper.cli.documents import schema
from innkeeper.cli.session import Output, Session, Tabular
from innkeeper.cli.usage import as_csv, tell
from innkeeper.client import Figure, Innkeeper, UsageReport

from .terminal import run

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def figure(metric: str, quantity: str, days: int = 0, *, final: bool = True) -> Figure:
    window = DAY + timedelta(days=days)
    return Figure(
        tenant="t1",
        instance="acme",
        plan="team",
        metric=metric,
        window_start=window,
        window_end=window + timedelta(days=1),
        quantity=Decimal(quantity),
        final=final,
    )


FIGURES = [
    figure("messages", "12"),
    figure("operations", "1"),
    figure("running_seconds", "86400"),
    figure("cpu_seconds", "0.125", 1, final=False),
    figure("running_seconds", "1234.5", 1, final=False),
]


def test_people_see_a_row_a_window_and_the_sums(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Session("innkeeper usage", {"output": Tabular.TEXT}), FIGURES, "day")
    assert capsys.readouterr().out.splitlines() == [
        "window       instance  tenant  plan  running_seconds  cpu_seconds  operations  messages",
        "2026-03-01   acme      t1      team  86,400           –            1           12",
        "2026-03-02…  acme      t1      team  1,234.50         0.12         –           –",
        "all          –         –       –     87,634.50        0.12         1           12",
        "… not metered to its end yet",
    ]


def test_only_what_is_not_metered_to_its_end_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    other = figure("running_seconds", "5", 1).model_copy(update={"instance": "globex"})
    tell(Session("innkeeper usage", {"output": Tabular.TEXT}), [*FIGURES, other], "day")
    first, second = capsys.readouterr().out.splitlines()[2:4]
    assert (first.split()[:2], second.split()[:2]) == (["2026-03-02…", "acme"], ["2026-03-02", "globex"])


def test_where_nothing_was_used_only_the_columns_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Session("innkeeper usage", {}), [], "hour")
    assert capsys.readouterr().out.split() == ["window", "instance", "tenant", "plan"]


def test_hours_are_told_with_their_time(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Session("innkeeper usage", {}), FIGURES[:1], "hour")
    assert "2026-03-01 00:00  acme" in capsys.readouterr().out


def test_a_spreadsheet_gets_every_figure_exactly() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv([*FIGURES, figure("calls", "1E+3")]))))
    assert rows[0] == {
        "tenant": "t1",
        "instance": "acme",
        "plan": "team",
        "metric": "messages",
        "window_start": "2026-03-01T00:00:00Z",
        "window_end": "2026-03-02T00:00:00Z",
        "quantity": "12",
        "final": "true",
    }
    assert [(row["quantity"], row["final"]) for row in rows[-3:]] == [
        ("0.125", "false"),
        ("1234.5", "false"),
        ("1000", "true"),
    ]


@pytest.mark.parametrize("output", [Output.JSON, Tabular.JSON])
def test_json_before_the_command_and_after_it_is_the_same(output: Output | Tabular) -> None:
    session = Session("innkeeper usage", {"output": output})
    assert (session.json, session.csv) == (True, False)


def test_a_time_that_is_none_is_refused_with_how_to_say_it() -> None:
    told = run("usage", "--from", "yesterday")
    assert (told.code, told.out) == (2, "")
    assert "--from: 'yesterday' is no time" in told.err
    assert "e.g. 2026-03-01T12:00Z" in told.err


async def test_the_command_exports_what_was_used_on_the_platform(
    innkeeper: Innkeeper, platform_env: Mapping[str, str]
) -> None:
    name, tenant = f"told-{secrets.token_hex(4)}", f"t-{secrets.token_hex(4)}"
    await (await innkeeper.provision(name, tenant=tenant, plan="starter")).result()
    reports = [
        UsageReport.of(name, "calls", "0.1", key=f"{name}/{number}", at=DAY + timedelta(hours=number))
        for number in range(30)
    ]
    await innkeeper.record_usage_batch(reports)

    async def command(*words: str) -> str:
        told = await asyncio.to_thread(lambda: run("usage", *words, env=dict(platform_env)))
        assert told.code == 0, told
        return told.out

    told = await command("--tenant", tenant)
    assert [line.split() for line in told.splitlines()] == [
        ["window", "instance", "tenant", "plan", "calls"],
        ["2026-03-01…", name, tenant, "starter", "2.40"],
        ["2026-03-02…", name, tenant, "starter", "0.60"],
        ["all", "–", "–", "–", "3"],
        ["…", "not", "metered", "to", "its", "end", "yet"],
    ]
    window = (
        "--instance",
        name.upper(),
        "--by",
        "hour",
        "--from",
        "2026-03-01T03:00",
        "--to",
        "2026-03-01T05:00+00:00",
    )
    rows = list(csv.DictReader(io.StringIO(await command(*window, "--output", "csv"))))
    assert [(row["window_start"], row["quantity"]) for row in rows] == [
        ("2026-03-01T03:00:00Z", "0.1"),
        ("2026-03-01T04:00:00Z", "0.1"),
    ]
    document = await asyncio.to_thread(
        lambda: run("usage", "-t", tenant, "-o", "json", env=dict(platform_env)).document
    )
    jsonschema.validate(document, {**schema(), "$ref": "#/$defs/UsagePage"})
    assert [each["quantity"] for each in document["items"]] == ["2.4", "0.6"]
