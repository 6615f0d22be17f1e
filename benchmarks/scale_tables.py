"""The tables of `make bench-scale`, from the figures as they are in its JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .costs import PROCESSES
from .figures import Target, middle, percentiles, ratio, ratio_cell, table, verdicts
from .machine import of_this_version, origin
from .sizing import held_of

Figures = Mapping[str, Any]

RUNS = ("undisturbed", "worker killed")


def blocks(told: Mapping[str, Figures]) -> dict[str, list[str]]:
    """The tables of the scenarios that were played, by their place in docs/performance.md.

    Raises:
        SystemExit: an earlier version left figures that have not all that is told now.
    """
    made = {}
    for name, tables in (("flat", flat), ("load", load), ("sick", sick), ("backlog", backlog)):
        if name in told:
            with of_this_version(name, f"make bench-scale ARGS={name}"):
                heading, *rest = tables(told[name][name])
                judged = verdicts(targets({name: told[name][name]}))
            made[f"scale-{name}"] = [heading, "", origin(told[name]), "", *judged, *rest]
    return made


def _by_round(records: Sequence[Figures], present: int, figure: str) -> dict[int, float]:
    def of(record: Figures) -> float:
        costs = record["costs"]
        return float(sum(costs["cpu"].values()) if figure == "cpu" else costs[figure])

    return {each["round"]: of(each) for each in records if each["present"] == present}


def flat(told: Figures) -> list[str]:
    """One more with many present, against one more with none."""
    records, many, each = told["records"], told["present"], told["at once"]
    rows = []
    for what, figure in (("seconds", "seconds"), ("CPU seconds", "cpu")):
        crowded, alone = _by_round(records, many, figure), _by_round(records, 0, figure)
        cells = f"{middle(crowded.values()):.2f}", f"{middle(alone.values()):.2f}"
        rows.append((f"{what} of {each} at once", *cells, ratio_cell(crowded, alone)))
    for process in PROCESSES:
        cpu = [middle(r["costs"]["cpu"][process] for r in records if r["present"] == n) for n in (many, 0)]
        rows.append((f"CPU seconds: {process}", f"{cpu[0]:.2f}", f"{cpu[1]:.2f}", _by(cpu[0], cpu[1])))
    for what, figure in (("API requests each", "requests"), ("database calls each", "calls")):
        counts = [middle(_count(r["costs"][figure]) for r in records if r["present"] == n) / each for n in (many, 0)]
        rows.append((what, f"{counts[0]:.1f}", f"{counts[1]:.1f}", _by(counts[0], counts[1])))
    header = ("", f"{many} present", "none present", "ratio")
    return [f"### A provision with {many} others present", "", *table(header, rows)]


def _count(figure: int | Mapping[str, int]) -> int:
    return figure if isinstance(figure, int) else sum(figure.values())


def _by(ours: float, others: float) -> str:
    return f"{ours / others:.2f}" if others else "–"


def load(told: Figures) -> list[str]:
    """What the worker holds."""
    many, running = told["present"], told["running"]
    called = {
        "none present": "none present, at rest",
        "present": f"{many} present, at rest",
        "until all wait": f"{many} present, until {running} operations wait for readiness",
        "present and running": f"{many} present, {running} operations waiting",
        "after another look": f"{many} present, {running} operations waiting, after another look for drift",
        "with their ends": f"the most of all, to the end of the {running}",
    }
    held = told["held"]
    counted = "worker MiB", "its Helms' MiB", "connections", "connections with Helm's"
    rows = [(words, *(f"{held[key][what]:.0f}" for what in counted)) for key, words in called.items()]
    header = ("", "worker, MiB", "its Helms, MiB", "its connections to the API server", "with its Helms'")
    others = [(name, f"{told['memory MiB'][name]:.0f}") for name in PROCESSES if name in told["memory MiB"]]
    each = held_of(told, told["cores"])
    return [
        f"### The worker with {many} present",
        "",
        *table(header, rows),
        "",
        f"{each.kib_an_instance:.1f} KiB more for each instance, and {each.kib_an_operation:.0f} for each operation.",
        "",
        *table(("process, at the end", "MiB"), others),
    ]


def _last(told: Figures, way: str) -> dict[int, float]:
    """When the last of the healthy was ready, by round."""
    return {each["round"]: max(each["seconds"]) for each in told["rounds"] if each["way"] == way}


def sick(told: Figures) -> list[str]:
    """The healthy ones among sick ones."""
    size, healthy = told["size"], told["healthy"]
    called = {
        "alone": f"alone ({healthy})",
        "all well": f"among {size} that are all well",
        "some sick": f"among {size}, of which {size - healthy} never become ready",
    }
    alone, rows = _last(told, "alone"), []
    for way, words in called.items():
        last = _last(told, way)
        each = percentiles(s for r in told["rounds"] if r["way"] == way for s in r["seconds"])
        well = ratio_cell(last, _last(told, "all well")) if way == "some sick" else ""
        rows.append((words, f"{middle(last.values()):.2f}", each, ratio_cell(last, alone), well))
    header = (f"{healthy} healthy ones", "the last after, s", "one of them, s", "by alone", "by all well")
    return [f"### {size - healthy} sick among {size}", "", *table(header, rows)]


def backlogs(figures: Figures) -> list[Figures]:
    """The runs of the backlog, if it was played."""
    return [figures["backlog"][run] for run in RUNS] if "backlog" in figures else []


def turns(large: int, small: int, size: int) -> float:
    """The share of a backlog that is done when a small tenant's last one ends, if tenants took turns."""
    return (min(large, small) + small + (size - large - small)) / size


def fair_of(told: Figures) -> float:
    """Seconds after which a small tenant's last would end by turns, of an undisturbed worker.

    Where a worker is killed, the small ones have ended long before: that all end later is no reason for them to.
    """
    run = told["undisturbed"]
    return turns(len(run["large"]), told["small"], told["size"]) * float(run["all after"])


def backlog(told: Figures) -> list[str]:
    """Many requests at once to one worker."""
    size = told["size"]
    rows: list[tuple[object, ...]] = []
    runs = [told[run] for run in RUNS]
    outcomes = [", ".join(f"{count} {what}" for what, count in run["outcomes"].items()) for run in runs]
    rows.append(("all accepted after, s", *(f"{run['accepted after']:.2f}" for run in runs)))
    rows.append(("all ended after, s", *(f"{run['all after']:.1f}" for run in runs)))
    rows.append(("outcomes", *outcomes))
    rows.append(("lost", *(len(run["lost"]) for run in runs)))
    if told["small"]:
        last = f"the small tenant's {told['small']}"
        rows.append((f"{last} alone, s", *(f"{max(run['small alone']):.2f}" for run in runs)))
        rows.append((f"{last}, asked last, ended after, s", *(f"{max(run['small']):.1f}" for run in runs)))
        rows.append((f"{last}, if tenants took turns, s", *[f"{fair_of(told):.1f}"] * len(runs)))
    large = f"the large tenant's {len(runs[0]['large'])}"
    rows.append((f"{large}: p50 / p95 / p99, s", *(percentiles(run["large"], 1) for run in runs)))
    killed = told["worker killed"]
    rows.append(("the worker was killed after, s", "", f"{killed['killed after']:.1f}"))
    rows.append(("until the next one ended, s", "", f"{killed['until the next ended']:.1f}"))
    return [f"### {size} requests at once to one worker", "", *table(("", *RUNS), rows)]


def targets(figures: Figures) -> Iterator[Target]:
    """What was promised of the figures that there are."""
    if "flat" in figures:
        told = figures["flat"]
        many, records = told["present"], told["records"]
        for what, figure in (("time", "seconds"), ("CPU", "cpu")):
            found = ratio(_by_round(records, many, figure), _by_round(records, 0, figure))
            if found is not None:
                yield Target(f"{what} of a provision with {many} present", 1.1, found, " × that with none")
    if "load" in figures:
        told = figures["load"]
        where = f"with {told['present']} present and {told['running']} running"
        # A table has MiB, as tools show them; what was promised has MB.
        most = told["held"]["with their ends"]
        yield Target(f"worker memory {where}", 250, most["worker MiB"] * 2**20 / 1e6, " MB")
        yield Target(f"connections to the API server {where}", 50, most["connections with Helm's"])
    if "sick" in figures:
        told = figures["sick"]
        what = f"{told['healthy']} healthy ones with {told['size'] - told['healthy']} sick ones"
        for way, words in (("all well", "with as many well ones"), ("alone", "alone")):
            found = ratio(_last(told, "some sick"), _last(told, way))
            if found is not None:
                yield Target(what, 1.1, found, f" × {words}")
        ended = [Counter(each["outcomes"]) for each in told["rounds"]]
        yield Target(f"{what}: not done", 0, sum(each.total() - each["done"] for each in ended))
    for run, told in zip(RUNS, backlogs(figures), strict=False):
        what = f"{figures['backlog']['size']} requests, {run}"
        yield Target(f"{what}: accepted", 10, told["accepted after"], " s")
        yield Target(f"{what}: lost", 0, len(told["lost"]))
        if told["small"]:
            last = max(told["small"]) / fair_of(figures["backlog"])
            yield Target(f"{what}: a small tenant's {len(told['small'])}", 1.5, last, " × its turns")
