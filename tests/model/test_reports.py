"""What can be reported, and how it is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from innkeeper.model.errors import BadInput
from innkeeper.model.reports import UsageReport


def test_a_report_is_kept_exactly_as_it_was_meant() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    report = UsageReport.of(" Acme Corp", "api_calls", 0.1, key="k/1", at=at)
    assert report.instance == "acme-corp"
    assert report.quantity == Decimal("0.1")
    assert report.at == at
    assert str(report.at) == str(at.astimezone(UTC))
    assert UsageReport.of("a", "m", "0", key="k").at is None


@pytest.mark.parametrize("quantity", [0, 1, 2.5, "0.000000001", Decimal("1E+17"), "10", "1.50"])
def test_a_number_of_nought_or_more_is_a_quantity(quantity: Decimal | float | str) -> None:
    assert UsageReport.of("a", "m", quantity, key="k").quantity == Decimal(str(quantity))


@pytest.mark.parametrize("quantity", [-1, "", "many", "nan", "inf", float("-inf"), 10**18, "0.0000000001"])
def test_what_is_no_quantity_is_refused(quantity: float | str) -> None:
    with pytest.raises(BadInput, match=r"quantity: '.*' is no quantity.*give a number"):
        UsageReport.of("a", "m", quantity, key="k")


@pytest.mark.parametrize("metric", ["", "Api", "api-calls", "1st", "a" * 64, "äpi", "api\n"])
def test_what_is_no_metric_is_refused(metric: str) -> None:
    with pytest.raises(BadInput, match="is no name of a metric"):
        UsageReport.of("a", metric, 1, key="k")


@pytest.mark.parametrize("metric", ["running_seconds", "operations"])
def test_what_is_metered_cannot_be_reported(metric: str) -> None:
    with pytest.raises(BadInput, match="is metered by Innkeeper itself"):
        UsageReport.of("a", metric, 1, key="k")


@pytest.mark.parametrize("key", ["", "a b", "k" * 201, "a\\b", 'a"b'])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadInput, match=r"key: .* is no key"):
        UsageReport.of("a", "m", 1, key=key)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(BadInput, match="has no time zone"):
        UsageReport.of("a", "m", 1, key="k", at=datetime(2026, 3, 1))  # noqa: DTZ001  # that is the point
