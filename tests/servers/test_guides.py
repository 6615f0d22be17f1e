"""Holds the guides for servers and operators to the code: settings, statuses, outcomes and files they speak of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from innkeeper.model.instance import Status
from innkeeper.model.messages import SEARCH_ATTRIBUTES, Outcome
from innkeeper.settings import PREFIX, Settings

GUIDES = ("docs/servers.md", "docs/operators.md")


def first_column(text: str, heading: str) -> list[str]:
    """What the first column of a section's table lists in code marks."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_the_table_of_settings_lists_every_setting(root: Path) -> None:
    listed = first_column((root / GUIDES[0]).read_text(), "Settings")
    assert listed == [f"{PREFIX}{field.upper()}" for field in Settings.model_fields]


def test_the_tables_of_statuses_and_outcomes_list_every_one(root: Path) -> None:
    text = (root / GUIDES[1]).read_text()
    assert first_column(text, "Statuses") == [status.value for status in Status]
    assert first_column(text, "Outcomes") == [outcome.value for outcome in Outcome]


def test_the_command_that_registers_search_attributes_names_them_all(root: Path) -> None:
    text = (root / GUIDES[0]).read_text()
    assert dict(re.findall(r"--name (\w+) --type (\w+)", text)) == SEARCH_ATTRIBUTES


@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_that_a_guide_names_is_here(guide: str, root: Path) -> None:
    text = (root / guide).read_text()
    named = set(re.findall(r"\b(?:deploy|supabase|docs)/[\w./-]*\w", text))
    named |= {f"docs/{link}" for link in re.findall(r"\]\((\w+\.md)", text)}
    assert named
    assert [path for path in sorted(named) if not (root / path).exists()] == []
