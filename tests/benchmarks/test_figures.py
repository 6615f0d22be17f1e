"""Holds how the benchmarks sum up, compare and show what they measured."""

import pytest

from innkeeper.benchmarks import figures
from innkeeper.benchmarks.figures import Target

PAGE = "# Title\n\n<!-- fleet: begin -->\nold\n<!-- fleet: end -->\n\n<!-- scale: begin -->\n<!-- scale: end -->\n"


@pytest.mark.parametrize(("share", "value"), [(1, 1), (50, 50), (95, 95), (99, 99), (100, 100)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert figures.percentile(range(100, 0, -1), share) == value


@pytest.mark.parametrize("share", [50, 95, 99])
def test_of_one_value_every_percentile_is_that_one(share: float) -> None:
    assert figures.percentile([7.5], share) == 7.5


def test_of_few_values_the_high_percentiles_are_the_worst_one() -> None:
    assert figures.percentiles([3.0, 1.0, 2.0]) == "2.00 / 3.00 / 3.00"


def test_nothing_has_no_percentile_and_a_dash_in_a_table() -> None:
    with pytest.raises(ValueError, match="percentile of nothing"):
        figures.percentile([], 50)
    assert figures.percentiles([]) == "–"


def test_a_ratio_compares_rounds_and_not_medians() -> None:
    # The machine was twice as slow in the second round, for both.
    ours, bare = {0: 1.2, 1: 2.4, 2: 1.5}, {0: 1.0, 1: 2.0, 2: 1.0}
    assert figures.ratio(ours, bare) == pytest.approx(1.2)
    assert figures.ratio_cell(ours, bare) == "**1.20** (1.20–1.50)"


def test_rounds_that_only_one_has_or_that_cost_nothing_are_no_ratio() -> None:
    assert figures.ratios({0: 3.0, 1: 1.0, 2: 5.0}, {0: 2.0, 1: 0.0, 3: 4.0}) == [1.5]
    assert figures.ratio({0: 3.0}, {1: 2.0}) is None
    assert figures.ratio_cell({}, {}) == "–"


def test_the_middle_of_nothing_is_nothing() -> None:
    assert (figures.middle([]), figures.middle([3, 1, 2])) == (0, 2)


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("time", 1.3, 1.3), "met"),
        (Target("time", 1.3, 1.43), "missed by 10%"),
        (Target("lost", 0, 0), "met"),
        (Target("lost", 0, 2), "missed"),
    ],
)
def test_a_target_is_met_or_missed_by_so_much(target: Target, verdict: str) -> None:
    assert target.verdict == verdict


def test_targets_are_told_with_what_was_wanted_and_measured() -> None:
    shown = figures.verdicts([Target("provision of 100", 1.3, 1.254, " × bare"), Target("memory", 250, 312.4, " MiB")])
    assert shown == [
        "| target | wanted | measured |  |",
        "| --- | ---: | ---: | ---: |",
        "| provision of 100 | ≤ 1.3 × bare | 1.25 × bare | met |",
        "| memory | ≤ 250 MiB | 312 MiB | missed by 25% |",
    ]


def test_a_table_without_rows_is_none_and_a_row_that_does_not_fit_is_refused() -> None:
    assert figures.table(("a", "b"), []) == []
    with pytest.raises(ValueError, match="has not 2 cells"):
        figures.table(("a", "b"), [("1",)])


def test_tables_take_the_place_of_those_before_and_of_no_others() -> None:
    once = figures.pasted(PAGE, "fleet", ["new", "table"])
    assert once == PAGE.replace("\nold\n", "\n\nnew\ntable\n\n")
    assert figures.pasted(once, "fleet", ["newer"]) == PAGE.replace("\nold\n", "\n\nnewer\n\n")


@pytest.mark.parametrize(
    "page",
    ["", PAGE * 2, "<!-- fleet: end -->\n<!-- fleet: begin -->\n", "<!-- fleet: begin -->\n"],
)
def test_a_page_without_one_place_for_the_tables_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        figures.pasted(page, "fleet", ["new"])
