"""Holds that docs/failure-modes.md has every case, and that what it says of tests, codes and words is so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome

GUIDE = "docs/failure-modes.md"
HEADER = ("case", "what happens", "the operator sees", "tests")

CASES: dict[str, set[str]] = {
    "Re-provision": {
        "the row update fails",
        "the row update answers ambiguously",
        "a write under a former generation",
    },
    "Namespace creation fails": {
        "forbidden",
        "quota",
        "terminating",
        "terminating for ever",
        "conflict",
        "API server down for a while",
        "API server down for good",
        "not ours, before the operation",
        "not ours, made just then",
    },
    "Helm fails and the database fails": {"Helm fails, and the failure cannot be recorded", "meanwhile"},
    "An unexpected exception and the database fails": {
        "an unexpected exception in a step, with the database down",
        "a bug in workflow code",
    },
    "The status write fails after readiness": {"it fails, is refused, or an exception", "its answer is lost"},
    "Readiness goes on after the request": {
        "the client dies",
        "the worker is killed",
        "Temporal's server is killed",
    },
    "Stop, restart, uninstall: each step fails": {
        "stop: scale-down, gone",
        "restart: roll, ready",
        "restart of what was stopped: scale-up, roll, ready",
        "uninstall: uninstall, gone",
        "claim or record of any",
        "a step and the database",
    },
    "Helm and its tools are in trouble": {
        "helm missing",
        "helm too old, or Helm 4",
        "helm hanging",
        "helm killed",
        "chart repository down",
        "kubectl missing",
    },
    "Requests that meet": {
        "two race with one request id",
        "two race with ids of their own",
        "reject, during every step of another",
        "wait, during every step of another",
        "replace, during every step of another",
    },
    "Row and cluster disagree": {
        "release gone",
        "release newer",
        "replicas changed",
        "namespace deleted by hand",
    },
    "A Helm that was killed, or sleeps": {
        "pending-install",
        "pending-upgrade, pending-rollback",
        "stopped (SIGSTOP), awake after its release was recovered",
    },
    "Stopped stays stopped": {
        "an autoscaler (HPA) wants pods",
        "a CronJob or a Job wants pods",
        "a controller scales back",
        "an upgrade",
        "stop killed after any of its patches",
    },
    "Operations that are lost": {"workflow terminated by hand", "Temporal's state lost"},
    "Parked": {"listed", "retry", "skip", "abort", "nobody answers"},
    "Cancelled": {"in any step of any operation", "a provision", "what has no undo"},
    "At any write of any operation": {
        "the worker is killed before it",
        "the worker is killed after it",
        "its answer is lost",
        "it is forbidden",
    },
    "A part is away": {"API server", "Supabase", "Temporal"},
    "Data and secrets": {
        "a failed provision",
        "every compensation, recovery and repair",
        "a secret in a history",
    },
}
"""What the guide must have at least, by heading. A case that is renamed there is renamed here."""


class Row(NamedTuple):
    """One case, as the guide tells it."""

    heading: str
    case: str
    happens: str
    seen: str
    tests: list[str]

    def __str__(self) -> str:
        return f"{self.heading}: {self.case}"


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def rows_of(text: str) -> Iterator[Row]:
    heading = ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        if line.startswith("| ") and not line.startswith(("| case |", "| --- |")):
            case, happens, seen, tests = cells_of(line)
            yield Row(heading, case, happens, seen, [each.strip("`") for each in tests.split("<br>")])


@pytest.fixture(scope="module")
def guide(root: Path) -> str:
    return (root / GUIDE).read_text()


@pytest.fixture(scope="module")
def rows(guide: str) -> list[Row]:
    return list(rows_of(guide))


@pytest.fixture(scope="module")
def said(product_files: dict[str, ast.Module]) -> list[str]:
    """Every text in the product's code, an f-string's in pieces, and every class's name; no docstring."""
    nodes = [node for tree in product_files.values() for node in ast.walk(tree)]
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in alone]
    texts = [node.value for node in constants if isinstance(node.value, str)]
    return texts + [node.name for node in nodes if isinstance(node, ast.ClassDef)]


def test_the_guide_begins_with_the_three_ends(guide: str) -> None:
    opening = guide.split("\n\n")[1]
    assert re.findall(r"\*\*(\w+)\*\*", opening) == ["done", "undone", "parked"]


def test_every_case_is_told_once(rows: list[Row]) -> None:
    told = [(row.heading, row.case) for row in rows]
    assert len(told) == len(set(told))
    assert {(heading, case) for heading, cases in CASES.items() for case in cases} - set(told) == set()


def test_every_table_has_the_same_columns_and_no_empty_cell(guide: str, rows: list[Row]) -> None:
    headers = [tuple(cells_of(line)) for line in guide.splitlines() if line.startswith("| case")]
    assert set(headers) == {HEADER}
    assert len(headers) == len({row.heading for row in rows})
    assert [str(row) for row in rows if not all((row.case, row.happens, row.seen))] == []


def test_every_row_names_tests_that_exist(rows: list[Row], python_files: dict[str, ast.Module]) -> None:
    tests = {
        f"{path}::{node.name}"
        for path, tree in python_files.items()
        if path.startswith("tests/") and path.rpartition("/")[2].startswith("test_")
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    assert {str(row): missing for row in rows if (missing := set(row.tests) - tests)} == {}


def test_every_code_and_status_is_the_codes_own(rows: list[Row], said: list[str]) -> None:
    known = {*said, *Status, *Outcome}
    words = {
        (str(row), word)
        for row in rows
        for word in re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*|[a-z_]+)`", row.seen)
        if word not in known
    }
    assert words == set()


def test_every_quoted_word_is_the_codes_own(rows: list[Row], said: list[str]) -> None:
    quoted = [(str(row), words) for row in rows for words in re.findall(r'"([^"]+)"', row.seen)]
    pieces = [(row, piece) for row, words in quoted for piece in words.split("…") if len(piece.strip()) > 2]
    assert len(pieces) > 20
    assert [told for told in pieces if not any(told[1].strip() in text for text in said)] == []
