"""Holds that docs/performance.md has one place for each benchmark's tables, and names every scenario."""

from pathlib import Path

import pytest

from innkeeper.benchmarks import figures, scale
from innkeeper.benchmarks.series import Series


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "performance.md").read_text()


MEASURED = [
    *(Series(on_disk=False, present=0, size=size) for size in (1, 10, 100, 300)),
    *(Series(on_disk=False, present=present, size=100) for present in (300, 1000)),
    *(Series(on_disk=True, present=0, size=size) for size in (100, 300)),
]
PLACES = [
    *(series.name for series in MEASURED),
    *(f"scale-{scenario}" for scenario in scale.SCENARIOS),
    *("fleet-100-details", "sizing"),
]


@pytest.mark.parametrize("name", PLACES)
def test_the_page_has_a_place_for_each_benchmarks_tables(page: str, name: str) -> None:
    assert "\na table\n" in figures.pasted(page, name, ["a table"])


@pytest.mark.parametrize("name", PLACES)
def test_each_place_has_a_table_that_was_measured(page: str, name: str) -> None:
    block = page.partition(f"<!-- {name}: begin -->")[2].partition(f"<!-- {name}: end -->")[0]
    assert "innkeeper 0." in block
    assert "\n| --- | ---:" in block


def test_the_page_says_what_each_scenario_does(page: str) -> None:
    assert [name for name in scale.SCENARIOS if f"\n| `{name}` | " not in page] == []
