"""Holds that docs/performance.md has one place for each benchmark's tables, and names every scenario."""

from pathlib import Path

import pytest

from innkeeper.benchmarks import figures, scale


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "performance.md").read_text()


@pytest.mark.parametrize("name", ["fleet", "scale", "sizing"])
def test_the_page_has_a_place_for_each_benchmarks_tables(page: str, name: str) -> None:
    assert "\na table\n" in figures.pasted(page, name, ["a table"])


def test_the_page_says_what_each_scenario_does(page: str) -> None:
    assert [name for name in scale.SCENARIOS if f"\n| `{name}` | " not in page] == []
