"""How many workers, and how large a Temporal, so many instances need: by a model, from what the benchmarks measured.

Reads fleet-*.json, scale-load.json and reconcile.json in benchmarks/results. The model is that of docs/performance.md:
rates × costs, with a factor for the busiest hour and room to spare.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import series
from .arms import PHASES
from .figures import middle, table
from .machine import last, of_this_version, origin, publish

DAY = 86_400.0
DAILY = {"provision": 0.02, "upgrade": 0.1, "stop": 1.0, "start": 1.0, "restart": 0.1, "uninstall": 0.02}
"""Operations of one instance in one day, unless others are named: it rests at night."""


WAITS_FOR_PODS = frozenset({"provision", "upgrade", "start", "restart"})
"""Operations that end when pods are ready."""


WAITING = 0.0012
"""CPU seconds of Temporal for each second in which a step waits, which gives a sign of life every 1.7: 450 at once had
0.53 cores of the development server."""


class Cost(NamedTuple):
    """What one operation costs."""

    worker: float
    """CPU seconds of the worker and of its Helms."""
    temporal: float
    """CPU seconds."""
    calls: float
    """Of the database."""
    requests: float
    """That the API server answered, the controllers' included."""
    events: float
    kib: float
    """Of history."""
    seconds: float
    """That it runs, alone, where pods are ready at once."""


class Held(NamedTuple):
    """What one worker holds."""

    mib: float
    """At rest, with no instance anywhere."""
    kib_an_instance: float
    """For each instance there is: any worker may be the one that looks for drift, at all of them."""
    kib_an_operation: float
    """For each operation that it runs."""
    helms_mib_a_core: float = 0.0
    """Of the Helms that it keeps, two for each of its cores."""


class Look(NamedTuple):
    """What one look for drift costs, for each instance that is looked at."""

    cpu: float = 0.0
    """Seconds."""
    requests: float = 0.0
    calls: float = 0.0
    """Of the database."""


@dataclass(frozen=True)
class Assumed:
    """What depends on the product, and on how much room it leaves."""

    daily: Mapping[str, float]
    """Operations of one instance in one day, by kind."""
    peak: float = 4.0
    """The busiest hour's rate, by the day's mean."""
    busy: float = 0.6
    """The share of a core that is planned with."""
    cores: float = 2.0
    """Of one worker."""
    retention: float = 30.0
    """Days for which Temporal keeps histories."""
    pods_take: float = 0.0
    """Seconds until pods are ready, which simulated ones are at once."""
    look: Look = field(default_factory=Look)
    look_every: float = 300.0
    """Seconds from one look to the next."""


class Need(NamedTuple):
    """What so many instances need in the busiest hour."""

    operations: float
    """A second."""
    running: float
    """At once."""
    worker_cores: float
    workers: int
    worker_mib: float
    """Of each, with its Helms."""
    look_cpu: float
    """CPU seconds of one look at all, which is one step of one worker."""
    temporal_cores: float
    events: float
    """A second."""
    history_gib: float
    """Kept."""
    calls: float
    """Of the database, a second."""
    requests: float
    """To the API server, a second."""


def need(instances: int, costs: Mapping[str, Cost], held: Held, assumed: Assumed) -> Need:
    """What so many instances need.

    Raises:
        KeyError: an operation is assumed whose cost is not known.
    """
    rates = {kind: instances * daily / DAY * assumed.peak for kind, daily in assumed.daily.items()}

    def spent(figure: str) -> float:
        return float(sum(rate * getattr(costs[kind], figure) for kind, rate in rates.items()))

    pods = assumed.pods_take * sum(rate for kind, rate in rates.items() if kind in WAITS_FOR_PODS)
    running = spent("seconds") + pods
    looks = instances / assumed.look_every
    worker_cores = (spent("worker") + looks * assumed.look.cpu) / assumed.busy
    # One may die, or be replaced by a newer one, while the other works.
    workers = max(2, math.ceil(worker_cores / assumed.cores))
    kib = instances * held.kib_an_instance + running / workers * held.kib_an_operation
    return Need(
        operations=sum(rates.values()),
        running=running,
        worker_cores=worker_cores,
        workers=workers,
        worker_mib=held.mib + kib / 1024 + assumed.cores * held.helms_mib_a_core,
        look_cpu=instances * assumed.look.cpu,
        temporal_cores=(spent("temporal") + WAITING * pods) / assumed.busy,
        events=spent("events"),
        history_gib=spent("kib") / assumed.peak * DAY * assumed.retention / 2**20,
        calls=spent("calls") + looks * assumed.look.calls,
        requests=spent("requests") + looks * assumed.look.requests,
    )


def costs_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Cost]:
    """Each operation's cost, from ours of the largest size; its seconds from the smallest."""
    ours = [each for each in records if each["arm"] == "ours"]
    sizes = sorted({each["size"] for each in ours})
    found = {}
    for phase in PHASES:
        many = [each for each in ours if (each["phase"], each["size"]) == (phase, sizes[-1])]
        few = [each for each in ours if (each["phase"], each["size"]) == (phase, sizes[0])]
        found[phase] = Cost(
            worker=middle((r["costs"]["cpu"]["worker"] + r["costs"]["cpu"]["Helm"]) / r["size"] for r in many),
            temporal=middle(r["costs"]["cpu"]["Temporal"] / r["size"] for r in many),
            calls=middle(r["costs"]["calls"] / r["size"] for r in many),
            requests=middle(sum(r["costs"]["requests"].values()) / r["size"] for r in many),
            events=middle(count for r in many for count in r["events"]),
            kib=middle(size / 1024 for r in many for size in r["history_bytes"]),
            seconds=middle(seconds for r in few for seconds in r["latencies"]),
        )
    return found


def held_of(load: Mapping[str, Any], cores: int) -> Held:
    """What a worker holds, from the scenario `load` on so many cores; what did not grow counts as nothing."""
    of, found = load["held"], ("none present", "present", "present and running")
    rest, present, running = (of[what]["worker MiB"] for what in found)
    return Held(
        mib=rest,
        kib_an_instance=max(0.0, present - rest) * 1024 / load["present"],
        kib_an_operation=max(0.0, running - present) * 1024 / load["running"],
        helms_mib_a_core=of["with their ends"]["its Helms' MiB"] / cores,
    )


def look_of(reconciles: Mapping[str, Any]) -> Look:
    """What one look at one instance costs, of the largest fleet that was looked at."""
    size, figures = max(reconciles["instances"].items(), key=lambda each: int(each[0]))
    again = figures["again"]
    spent = again["processor"], sum(again["api"].values()), again["database"]
    return Look(*(figure / int(size) for figure in spent))


def tables(instances: Sequence[int], costs: Mapping[str, Cost], held: Held, assumed: Assumed) -> list[str]:
    """What the model is fed with, and what it says."""
    fed = [
        (
            *(kind, f"{assumed.daily.get(kind, 0.0):g}", f"{each.worker:.3f}", f"{each.temporal:.3f}"),
            *(f"{each.calls:.1f}", f"{each.requests:.0f}", f"{each.events:.0f}", f"{each.kib:.1f}"),
            f"{each.seconds:.2f}",
        )
        for kind, each in costs.items()
    ]
    heads = "CPU s of worker and Helm", "CPU s of Temporal", "database calls", "API requests", "events", "history, KiB"
    lines = table(("one operation", "a day", *heads, "seconds, alone"), fed)
    lines += ["", _said(held, assumed), ""]
    needs = [need(number, costs, held, assumed) for number in instances]
    rows = [
        ("operations a second", *(f"{each.operations:.2f}" for each in needs)),
        ("operations running at once", *(f"{each.running:.1f}" for each in needs)),
        ("cores of workers", *(f"{each.worker_cores:.2f}" for each in needs)),
        ("workers", *(each.workers for each in needs)),
        ("operations at once in each", *(math.ceil(each.running / each.workers) for each in needs)),
        ("memory of each with its Helms, MiB", *(f"{each.worker_mib:.0f}" for each in needs)),
        ("CPU seconds of one look for drift, in one of them", *(f"{each.look_cpu:.0f}" for each in needs)),
        ("cores of Temporal", *(f"{each.temporal_cores:.2f}" for each in needs)),
        ("history events a second", *(f"{each.events:.1f}" for each in needs)),
        ("histories kept, GiB", *(f"{each.history_gib:.2f}" for each in needs)),
        ("database calls a second", *(f"{each.calls:.1f}" for each in needs)),
        ("API requests a second", *(f"{each.requests:.1f}" for each in needs)),
    ]
    return lines + table(("in the busiest hour", *(f"{number:,} instances" for number in instances)), rows)


def _said(held: Held, assumed: Assumed) -> str:
    return (
        f"A worker holds {held.mib:.0f} MiB, {held.kib_an_instance:.1f} KiB for each instance, "
        f"{held.kib_an_operation:.0f} KiB for each operation that it runs and {held.helms_mib_a_core:.0f} MiB of Helms "
        f"for each of its cores; a look for drift every {assumed.look_every:g} s costs "
        f"{assumed.look.cpu * 1000:.2f} ms of CPU for each instance. The busiest hour has {assumed.peak:g} times the "
        f"mean rate, pods are ready after {assumed.pods_take:g} s, {assumed.busy:.0%} of a core is planned with, a "
        f"worker has {assumed.cores:g} cores, and histories are kept for {assumed.retention:g} days."
    )


def _daily(texts: Sequence[str]) -> dict[str, float]:
    found = dict.fromkeys(PHASES, 0.0)
    for text in texts:
        kind, _, number = text.partition("=")
        if kind not in found or not number.replace(".", "", 1).isdigit():
            raise SystemExit(f"--daily {text}: write KIND=NUMBER, with a KIND of {', '.join(PHASES)}")
        found[kind] = float(number)
    return found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make bench-sizing ARGS=…", description=__doc__)
    parser.add_argument("--instances", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="N")
    usual = [f"{kind}={number:g}" for kind, number in DAILY.items()]
    help_daily = f"operations of an instance a day ({' '.join(usual)})"
    parser.add_argument("--daily", nargs="+", default=usual, metavar="KIND=N", help=help_daily)
    parser.add_argument("--peak", type=float, default=4.0, help="the busiest hour's rate by the mean (4)")
    parser.add_argument("--busy", type=float, default=0.6, help="the share of a core that is planned with (0.6)")
    parser.add_argument("--pods-take", type=float, default=30.0, help="seconds until pods are ready (30)")
    parser.add_argument("--cores", type=float, default=2.0, help="of a worker (2)")
    parser.add_argument("--retention", type=float, default=30.0, help="days for which histories are kept (30)")
    parser.add_argument("--publish", action="store_true", help="put the tables into docs/performance.md")
    chosen = parser.parse_args()
    fleets = series.complete(series.last_runs())
    if not fleets:
        raise SystemExit("No benchmarks/results/fleet-*.json has all phases with none present. Run: make bench")
    fleets = [fleet for fleet in fleets if fleet["versions"] == fleets[-1]["versions"]]
    loading = "make bench-scale ARGS=load"
    loaded, look = last("scale-load", loading), last("reconcile", "make bench-reconcile")
    with of_this_version("load", loading):
        held = held_of(loaded["load"], loaded["load"]["cores"])
    planned = {name: getattr(chosen, name) for name in ("peak", "busy", "cores", "retention", "pods_take")}
    assumed = Assumed(_daily(chosen.daily), **planned, look=look_of(look))
    costs = costs_of([record for fleet in fleets for record in fleet["records"]])
    lines = [f"Operations: {origin(fleets[-1])}", "", f"A worker's memory: {origin(loaded)}", ""]
    lines += [f"Looks for drift: {origin(look)}", "", *tables(chosen.instances, costs, held, assumed)]
    print("\n".join(lines))
    if chosen.publish:
        publish("sizing", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
