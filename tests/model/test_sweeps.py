"""What a sweep counts and names, and whom it asks for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from innkeeper.model import names
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.sweeps import MOST_NAMED, Look, Swept, is_lost, repair_of

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def row(status: Status = Status.STOPPING, generation: int = 3, name: str = "acme") -> Instance:
    return Instance(
        name=name,
        tenant="t1",
        plan="starter",
        namespace=f"inn-{name}",
        release=name,
        status=status,
        generation=generation,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def test_a_repair_is_asked_for_under_one_id_a_lost_generation() -> None:
    first, again, later = repair_of(row()), repair_of(row(Status.STARTING)), repair_of(row(generation=4))
    assert (first.kind, first.instance, first.tenant, first.asked_by) == (Kind.REPAIR, "acme", "t1", "sweep")
    assert first == again
    assert first.request_id != later.request_id


def test_the_longest_name_still_makes_a_request_id() -> None:
    longest = row(name="a" * names.LONGEST_NAME, generation=10**18)
    assert names.check_request_id(repair_of(longest).request_id)


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        (row(), True),
        (row(Status.REPAIRING), True),
        (row(Status.STOPPED), False),
        (row(Status.ERROR), False),
        (row(generation=4), False),
        (None, False),
    ],
)
def test_a_row_is_lost_only_while_it_waits_for_what_it_was_seen_under(now: Instance | None, lost: bool) -> None:
    assert is_lost(row(), now) is lost


def test_looks_add_up() -> None:
    looks = [Look("a", asked=True), Look("b"), Look("c", failure="no"), Look("d", asked=True)]
    total = Swept()
    for look in looks:
        total = total.plus(look.swept)
    assert total == Swept(looked_at=4, busy=1, asked=2, failed=1, repairs=["a", "d"], failures=["c: no"])


def test_only_so_many_are_named_and_all_are_counted() -> None:
    total = Swept()
    for number in range(MOST_NAMED + 5):
        total = total.plus(Look(f"a{number}", asked=True).swept).plus(Look(f"f{number}", failure="no").swept)
    assert (total.looked_at, total.asked, total.failed) == (2 * (MOST_NAMED + 5), MOST_NAMED + 5, MOST_NAMED + 5)
    assert total.repairs == [f"a{number}" for number in range(MOST_NAMED)]
    assert total.failures == [f"f{number}: no" for number in range(MOST_NAMED)]
