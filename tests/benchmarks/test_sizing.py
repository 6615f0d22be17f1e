"""Holds the model by which docs/performance.md sizes workers and Temporal."""

from typing import Any

import pytest

from innkeeper.benchmarks import sizing
from innkeeper.benchmarks.sizing import Assumed, Cost, Held, Look

COST = Cost(worker=0.5, temporal=0.1, calls=3, requests=40, events=24, kib=8, seconds=2)
HELD = Held(mib=100, kib_an_instance=2, kib_an_operation=64)
ONCE_A_DAY = Assumed({"stop": 1.0}, peak=1.0, busy=1.0)
A_SECOND = 86_400
"""Instances that together ask once a second, where each asks once a day."""


def record(**changed: Any) -> dict[str, Any]:
    cpu = {"worker": 3.0, "Helm": 1.0, "Temporal": 2.0}
    costs = {"cpu": cpu, "requests": {"GET pods": 30, "LIST pods": 10}, "calls": 20}
    common = {"arm": "ours", "phase": "stop", "size": 10, "costs": costs}
    return {**common, "events": [20, 22, 21], "history_bytes": [2048], "latencies": [1.0, 3.0, 2.0], **changed}


def test_rates_times_costs_is_what_is_needed() -> None:
    found = sizing.need(A_SECOND, {"stop": COST}, HELD, ONCE_A_DAY)
    assert (found.operations, found.running) == (1, 2)
    assert (found.worker_cores, found.temporal_cores) == (0.5, 0.1)
    assert (found.calls, found.requests, found.events) == (3, 40, 24)


def test_the_busiest_hour_and_room_to_spare_need_more_cores() -> None:
    found = sizing.need(A_SECOND, {"stop": COST}, HELD, Assumed({"stop": 1.0}, peak=3.0, busy=0.5))
    assert (found.operations, found.worker_cores) == (3, 3)


def test_histories_are_kept_by_the_days_mean_and_not_by_its_peak() -> None:
    calm, busy = (
        sizing.need(A_SECOND, {"stop": COST}, HELD, Assumed({"stop": 1.0}, peak=peak, retention=10))
        for peak in (1.0, 5.0)
    )
    assert calm.history_gib == pytest.approx(A_SECOND * 10 * 8 / 2**20)
    assert busy.history_gib == pytest.approx(calm.history_gib)


def test_there_are_two_workers_at_least_and_as_many_as_their_cores_ask_for() -> None:
    assert sizing.need(10, {"stop": COST}, HELD, ONCE_A_DAY).workers == 2
    assert sizing.need(10 * A_SECOND, {"stop": COST}, HELD, ONCE_A_DAY).workers == 3


def test_every_worker_holds_all_instances_and_its_share_of_the_operations() -> None:
    found = sizing.need(A_SECOND, {"stop": COST}, HELD, ONCE_A_DAY)
    assert found.worker_mib == pytest.approx(100 + A_SECOND * 2 / 1024 + 2 / 2 * 64 / 1024)


def test_looks_for_drift_need_workers_and_ask_the_cluster_and_the_database_too() -> None:
    looking = Assumed({"stop": 0.0}, busy=1.0, look=Look(cpu=0.003, requests=0.006, calls=0.03), look_every=300)
    found = sizing.need(100_000, {"stop": COST}, HELD, looking)
    assert (found.worker_cores, found.look_cpu) == pytest.approx((1.0, 300.0))
    assert (found.requests, found.calls) == pytest.approx((2.0, 10.0))


def test_what_waits_for_pods_runs_longer_where_they_take_longer() -> None:
    each = {"stop": COST, "start": COST}
    assumed = Assumed(dict.fromkeys(each, 1.0), peak=1.0, busy=1.0, pods_take=10)
    found = sizing.need(A_SECOND, each, HELD, assumed)
    assert found.running == pytest.approx(2 + 2 + 10)
    assert found.temporal_cores == pytest.approx(0.1 + 0.1 + 10 * sizing.WAITING)


def test_a_worker_holds_helms_for_each_of_its_cores() -> None:
    helms = HELD._replace(helms_mib_a_core=70)
    alone, both = (
        sizing.need(10, {"stop": COST}, held, Assumed({"stop": 1.0}, cores=3)).worker_mib for held in (HELD, helms)
    )
    assert both - alone == pytest.approx(210)


def test_an_operation_whose_cost_is_unknown_is_no_free_one() -> None:
    with pytest.raises(KeyError, match="restart"):
        sizing.need(10, {"stop": COST}, HELD, Assumed({"restart": 1.0}))


def test_an_operations_cost_is_that_of_ours_in_a_crowd_and_its_time_that_of_one_alone() -> None:
    records = [record(), record(size=1, latencies=[0.5]), record(arm="bare", latencies=[9.0])]
    assert sizing.costs_of(records)["stop"] == Cost(0.4, 0.2, 2.0, 4.0, 21.0, 2.0, 0.5)


def load(rest: float, present: float, running: float) -> dict[str, Any]:
    found = {"none present": rest, "present": present, "present and running": running, "with their ends": 900.0}
    held = {what: {"worker MiB": mib, "its Helms' MiB": 240.0} for what, mib in found.items()}
    return {"present": 1024, "running": 512, "held": held}


def test_what_a_worker_holds_for_each_is_what_it_grew_by() -> None:
    assert sizing.held_of(load(100.0, 102.0, 152.0), 2) == Held(100.0, 2.0, 100.0, 120.0)


def test_a_worker_that_shrank_holds_nothing_for_each() -> None:
    assert sizing.held_of(load(100.0, 90.0, 80.0), 4) == Held(100.0, 0.0, 0.0, 60.0)


def test_a_looks_cost_is_that_of_the_largest_fleet() -> None:
    few = {"processor": 9.0, "api": {"get": 5}, "database": 7}
    many = {"processor": 2.0, "api": {"get": 1, "list": 19}, "database": 4}
    figures = {"100": {"again": few}, "1000": {"again": many}}
    assert sizing.look_of({"instances": figures}) == Look(0.002, 0.02, 0.004)


def test_the_tables_say_what_was_assumed_and_what_is_needed() -> None:
    shown = sizing.tables([A_SECOND], {"stop": COST}, HELD, ONCE_A_DAY)
    assert shown[2].startswith("| stop | 1 | 0.500 | 0.100 | 3.0 | 40 | 24 | 8.0 | 2.00 |")
    assert "| in the busiest hour | 86,400 instances |" in shown
    assert "| workers | 2 |" in shown
