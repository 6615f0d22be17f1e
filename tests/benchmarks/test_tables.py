"""Holds what the tables of `make bench` and `make bench-scale` say, on figures that are easy to reckon with."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from innkeeper.benchmarks import fleet, fleet_tables, scale_tables
from innkeeper.benchmarks.arms import PHASES
from innkeeper.benchmarks.costs import PROCESSES, Costs
from innkeeper.benchmarks.fleet_tables import Found
from innkeeper.benchmarks.records import Record
from innkeeper.benchmarks.series import Series, complete, figures_of, series_of

SIZE = 100
ALONE = Series(on_disk=False, present=0, size=SIZE)


def record(arm: str, phase: str, number: int, seconds: float, **changed: Any) -> Record:
    cpu = dict.fromkeys(PROCESSES, 1.0)
    requests = {"POST pods": 2 * SIZE, "GET leases": 1}
    costs = Costs(seconds, cpu, requests, 300 if arm == "ours" else 0)
    of_ours = {"events": [20, 31], "history_bytes": [4096], "steps": {"Helm release": [0.5, 0.7]}}
    of_ours["parts"] = {"queue": [1.0, 4.0], "Helm": [0.5, 0.7]}
    more = {"memory": {"worker": 200.0}, **(of_ours if arm == "ours" else {}), **changed}
    return Record(arm, phase, more.pop("size", SIZE), more.pop("present", 0), number, costs, [seconds], **more)


def rounds(**changed: Any) -> list[Record]:
    """Two rounds: ours takes 1.2 times what bare Helm takes, on a machine that is slower in the second."""
    return [
        record(arm, phase, number, seconds * (1 + number), **changed)
        for number in (0, 1)
        for phase in PHASES
        for arm, seconds in (("ours", 12.0), ("bare", 10.0))
    ]


def cells(lines: list[str], first: str) -> list[str]:
    [line] = [line for line in lines if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_phase_is_told_with_both_times_and_the_ratio_of_rounds() -> None:
    shown = dict(zip(fleet_tables.SUMMARY, cells(fleet_tables.summary(Found(ALONE, rounds())), "stop"), strict=True))
    assert (shown["ours, s"], shown["bare, s"]) == ("18.00", "15.00")
    assert shown["ratio"] == "**1.20** (1.20–1.20)"
    assert (shown["API requests each"], shown["database calls each"]) == ("2 / 2", "3.0")
    assert (shown["events"], shown["history, KiB"]) == ("31", "4.0")


def test_what_only_innkeeper_has_and_what_rests_meanwhile_is_no_cost_of_bare_helms() -> None:
    ours, bare = (record(arm, "stop", 0, 1.0).cpu() for arm in ("ours", "bare"))
    assert (ours, bare) == (len(PROCESSES), len(PROCESSES) - 3)


def test_requests_that_are_no_instances_are_not_told() -> None:
    shown = fleet_tables.by_request(Found(ALONE, rounds()))
    assert cells(shown, "POST pods") == ["POST pods", *["2.0 / 2.0"] * len(PHASES)]
    assert not any("leases" in line for line in shown)


def written(series: Series, records: Sequence[Record]) -> Mapping[str, Any]:
    """What a run leaves of a series."""
    return {**where(), **figures_of(series, records)}


def test_each_series_has_its_table_and_the_largest_that_has_all_phases_the_details() -> None:
    ten, many = Series(False, 0, 10), Series(False, 0, 300)
    beside, disk = Series(False, 300, SIZE), Series(True, 0, SIZE)
    some = [each for each in rounds(size=300) if each.phase == "provision"]
    tolds = [written(ten, rounds(size=10)), written(ALONE, rounds()), written(many, some)]
    tolds += [written(beside, rounds(present=300)), written(disk, rounds())]
    shown = fleet_tables.blocks(tolds)
    details = shown.pop("fleet-100-details")
    assert [lines[0] for lines in shown.values()] == [
        "### 10 at once, 2 rounds",
        "### 100 at once, 2 rounds",
        "### 300 at once, 2 rounds",
        "### 100 at once, 300 others present, 2 rounds",
        "### 100 at once, Temporal on disk, 2 rounds",
    ]
    headings = [line for line in details if line.startswith("#### ")]
    assert [heading.endswith(": 100 at once") for heading in headings] == [True] * 6
    assert [line.split(" | ")[0] for line in shown[many.name]][-1] == "| provision"
    assert [series_of(each) for each in complete(tolds)] == [ten, ALONE]


@pytest.mark.parametrize(
    ("series", "name"),
    [
        (ALONE, "fleet-100"),
        (Series(on_disk=True, present=0, size=300), "fleet-300-on-disk"),
        (Series(on_disk=False, present=1000, size=100), "fleet-100-beside-1000"),
    ],
)
def test_a_series_has_a_file_and_a_place_of_its_own(series: Series, name: str) -> None:
    assert series.name == name


@pytest.mark.parametrize(
    ("size", "limits"),
    [
        (1, {"provision of 1": 1.5}),
        (10, {}),
        (
            100,
            {
                **{f"{phase} of 100": 1.3 for phase in ("provision", "upgrade")},
                **{f"{phase} of 100": 1.2 for phase in ("stop", "start", "restart")},
            },
        ),
        (300, {f"{phase} of 300": 1.3 for phase in ("provision", "upgrade")}),
    ],
)
def test_targets_are_those_of_the_size_that_was_measured(size: int, limits: Mapping[str, float]) -> None:
    told = list(fleet_tables.targets(Found(Series(False, 0, size), rounds(size=size))))
    assert {each.what: each.at_most for each in told[:-2]} == limits
    assert [each.measured for each in told[:-2]] == pytest.approx([1.2] * len(limits))
    assert [each.verdict for each in told[-2:]] == ["missed by 3%", "missed by 55%"]


def test_what_ours_costs_more_is_told_beside_what_the_target_leaves_for_it() -> None:
    shown = fleet_tables.beyond(Found(ALONE, rounds()))
    told = {line: cells(shown, line)[1:4] for line in ("Temporal", "Helm", "all together", "what the target leaves")}
    assert told == {
        "Temporal": ["+1.0"] * 3,
        "Helm": ["+0.0"] * 3,
        "all together": ["+3.0"] * 3,
        "what the target leaves": ["+1.8", "+1.8", "+1.2"],
    }
    assert cells(shown, "what the target leaves")[-1] == "–"


def test_what_an_operation_was_spent_on_is_told_as_a_mean() -> None:
    shown = fleet_tables.by_part(Found(ALONE, rounds()))
    assert (cells(shown, "queue")[1], cells(shown, "Helm")[1]) == ("2.50", "0.60")


def test_what_each_process_holds_is_told_of_both() -> None:
    records = [record(arm, "stop", 0, 1.0, memory={"worker": mib}) for arm, mib in (("ours", 210.0), ("bare", 180.0))]
    assert cells(fleet_tables.by_memory(Found(ALONE, records)), "worker")[1] == "210 / 180"


@pytest.mark.parametrize("series", [Series(False, 300, SIZE), Series(True, 0, SIZE)])
def test_nothing_was_promised_of_others_present_or_of_a_temporal_on_disk(series: Series) -> None:
    assert not list(fleet_tables.targets(Found(series, rounds(present=series.present))))


@pytest.mark.parametrize(
    ("chosen", "also"),
    [
        (["provision", "upgrade"], {"uninstall"}),
        (["start"], {"provision", "stop", "uninstall"}),
        (["stop", "restart"], {"provision", "start", "uninstall"}),
        (PHASES, set[str]()),
    ],
)
def test_what_a_phase_begins_from_is_played_before_it(chosen: Sequence[str], also: set[str]) -> None:
    assert fleet.needed(chosen) - {*chosen} == also


def backlog(**changed: Any) -> dict[str, Any]:
    run = {"accepted after": 4.0, "all after": 90.0, "outcomes": {"done": 10}, "lost": [], "small alone": [1.0]}
    run |= {"small": [2.0, 3.0], "large": [10.0, 20.0], "killed after": 40.0, "until the next ended": 6.0}
    return {"size": 10, "small": 2, "undisturbed": run, "worker killed": {**run, **changed}}


def flat() -> dict[str, Any]:
    def one(present: int, number: int, seconds: float) -> dict[str, Any]:
        costs = {"seconds": seconds, "cpu": dict.fromkeys(PROCESSES, seconds), "requests": {"GET pods": 50}, "calls": 5}
        return {"present": present, "round": number, "costs": costs}

    records = [one(present, number, 10.0 + present / 1000) for present in (0, 1000) for number in (0, 1)]
    return {"present": 1000, "at once": 5, "records": records}


def load() -> dict[str, Any]:
    keys = ("none present", "present", "until all wait", "present and running", "after another look", "with their ends")
    held = {
        key: {"worker MiB": mib, "its Helms' MiB": 280.0, "connections": 12, "connections with Helm's": most}
        for key, mib, most in zip(
            keys, (100.0, 200.0, 220.0, 230.0, 240.0, 250.0), (10, 20, 30, 40, 50, 60), strict=True
        )
    }
    return {"present": 1000, "running": 300, "held": held, "memory MiB": {"worker": 260.0, "etcd": 90.0}, "cores": 2}


def sick() -> dict[str, Any]:
    lasts = {"alone": 10.0, "all well": 12.0, "some sick": 12.6}
    played = [
        {"way": way, "round": number, "seconds": [1.0, last * (1 + number)], "outcomes": {"done": 2}}
        for number in (0, 1)
        for way, last in lasts.items()
    ]
    return {"size": 150, "healthy": 120, "rounds": played}


def where() -> dict[str, Any]:
    """What each run leaves of where it was played."""
    machine = {"cores": 2, "processor": "P", "memory GiB": 8.0, "system": "Linux", "kernel": "6"}
    of = {"at": "2026-01-02T03:04:05+00:00", "machine": machine, "versions": {"innkeeper": "1"}}
    return {**of, "load before and after": [0.1, 2.0]}


def left(**scenarios: Any) -> dict[str, Any]:
    """What each scenario's run left."""
    return {name: {**where(), name: each} for name, each in scenarios.items()}


def test_every_scenario_has_its_place_and_says_when_it_was_played() -> None:
    shown = scale_tables.blocks(left(flat=flat(), load=load(), sick=sick(), backlog=backlog()))
    assert all(lines[2].startswith("2026-01-02 03:04 UTC, 2 cores (P)") for lines in shown.values())
    assert {name: lines[0] for name, lines in shown.items()} == {
        "scale-flat": "### A provision with 1000 others present",
        "scale-load": "### The worker with 1000 present",
        "scale-sick": "### 30 sick among 150",
        "scale-backlog": "### 10 requests at once to one worker",
    }


@pytest.mark.parametrize("played", [{"flat": flat()}, {"load": load()}, {"sick": sick()}, {"backlog": backlog()}])
def test_a_scenario_may_be_played_alone(played: dict[str, Any]) -> None:
    [(name, lines)] = scale_tables.blocks(left(**played)).items()
    assert name.removeprefix("scale-") in played
    assert lines[4] == "| target | wanted | measured |  |"


def test_the_healthy_among_sick_ones_are_compared_with_both() -> None:
    shown = cells(scale_tables.sick(sick()), "among 150, of which 30 never become ready")
    assert shown[3:] == ["**1.26** (1.26–1.26)", "**1.05** (1.05–1.05)"]


def test_what_was_promised_of_a_crowd_is_judged() -> None:
    played = {"flat": flat(), "load": load(), "sick": sick(), "backlog": backlog(lost=["small-1"])}
    assert [each.verdict for each in scale_tables.targets(played)] == [
        *("met", "met"),
        *("missed by 5%", "missed by 20%"),
        *("met", "missed by 15%", "met"),
        *("met", "met", "met"),
        *("met", "missed", "met"),
    ]


@pytest.mark.parametrize(("large", "small", "size", "share"), [(900, 3, 1000, 0.103), (5, 5, 10, 1.0), (4, 1, 5, 0.4)])
def test_tenants_that_take_turns_hold_up_no_small_one(large: int, small: int, size: int, share: float) -> None:
    assert scale_tables.turns(large, small, size) == pytest.approx(share)


def test_a_healthy_one_that_did_not_end_well_is_told() -> None:
    told = sick()
    told["rounds"][0]["outcomes"] = {"done": 1, "not-ready": 1}
    assert [each.verdict for each in scale_tables.targets({"sick": told})][-1] == "missed"


def test_figures_of_another_version_say_what_to_run() -> None:
    told = load()
    del told["held"]["after another look"]
    with pytest.raises(SystemExit, match=r"lack 'after another look', .* Run: make bench-scale ARGS=load"):
        scale_tables.blocks(left(load=told))


def test_a_small_tenant_that_waits_for_a_large_one_is_held_up() -> None:
    run = {"large": [80.0] * 54, "small": [85.0] * 3, "all after": 90.0}
    played = {"backlog": {**backlog(**run), "size": 60, "small": 3, "undisturbed": {**backlog()["undisturbed"], **run}}}
    assert [each.verdict for each in scale_tables.targets(played)][-1] == "missed by 320%"


def test_a_worker_that_is_killed_gives_a_small_tenant_no_more_time() -> None:
    run = {"large": [80.0] * 54, "small": [22.0] * 3, "all after": 90.0}
    killed = {**backlog()["undisturbed"], **run, "all after": 900.0}
    played = {"backlog": {"size": 60, "small": 3, "undisturbed": {**killed, **run}, "worker killed": killed}}
    assert [each.measured for each in scale_tables.targets(played) if "small" in each.what] == pytest.approx(
        [22.0 / 13.5] * 2
    )
