"""Holds the operators' guide to the kinds of drift that there are."""

from __future__ import annotations

from pathlib import Path

from innkeeper.model.drift_kinds import What


def test_every_kind_of_drift_is_in_the_operators_guide_as_the_code_means_it(root: Path) -> None:
    guide = (root / "docs" / "operators.md").read_text().splitlines()
    listed = [line for line in guide if line.startswith("| `") and line.count(" | ") == 2 and "-" in line.split("`")[1]]
    wanted = [f"| `{what.value}` | {what.how_bad.value} | {what.meaning} |" for what in What]
    assert [line for line in listed if line in wanted] == wanted
