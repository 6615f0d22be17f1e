"""The tables of `make bench`: medians over the rounds, and ratios that are the medians of the rounds' own."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from .arms import PHASES
from .costs import PROCESSES
from .figures import Target, middle, percentiles, ratio, ratio_cell, table, verdicts
from .machine import origin
from .records import Record
from .series import Series, complete, records_of, series_of

SUMMARY = (
    *("", "ours, s", "bare, s", "ratio", "one of ours, s", "one of bare's, s", "CPU s", "ratio of CPU"),
    *("API requests each", "database calls each", "events", "history, KiB"),
)
LIMITS = {
    1: {"provision": 1.5},
    100: {"provision": 1.3, "upgrade": 1.3, "stop": 1.2, "start": 1.2, "restart": 1.2},
    300: {"provision": 1.3, "upgrade": 1.3},
}
"""What was promised: at most so many times what bare Helm takes, with nothing else present and Temporal in memory."""

HISTORY = {"provision": 30, "stop": 20}
"""What was promised: events of a history at most."""

GROUPS = {
    "control plane": ("API server", "etcd", "controllers", "simulated nodes"),
    "Temporal": ("Temporal",),
    "Supabase": ("Supabase",),
    "worker and client": ("worker", "client"),
    "Helm": ("Helm",),
}
"""What ours costs more, or less, than bare Helm."""

LITTLE = 0.05
"""Requests a release below which a kind of them is not told."""


class Found:
    """The records of one series."""

    def __init__(self, series: Series, records: Sequence[Record]) -> None:
        self.series = series
        self.records = records
        self.size = series.size
        self.rounds = len({each.round for each in records})
        self.phases = [phase for phase in PHASES if any(each.phase == phase for each in records)]

    def of(self, arm: str, phase: str) -> list[Record]:
        """One arm's records of a phase."""
        return [each for each in self.records if (each.arm, each.phase) == (arm, phase)]

    def seconds(self, arm: str, phase: str) -> dict[int, float]:
        """Wall time by round."""
        return {each.round: each.costs.seconds for each in self.of(arm, phase)}

    def cpu(self, arm: str, phase: str, names: Collection[str] = PROCESSES) -> dict[int, float]:
        """CPU seconds of these processes by round."""
        return {each.round: each.cpu(names) for each in self.of(arm, phase)}


def blocks(tolds: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The tables by their place in docs/performance.md; details are told of the largest series that has all phases."""
    made = {}
    for told in tolds:
        found = Found(series_of(told), records_of(told))
        rounds = "1 round" if found.rounds == 1 else f"{found.rounds} rounds"
        lines = [f"### {found.series.title}, {rounds}", "", origin(told), ""]
        if judged := verdicts(targets(found)):
            lines += [*judged, ""]
        made[found.series.name] = [*lines, *summary(found)]
    if having_all := complete(tolds):
        found = Found(series_of(having_all[-1]), records_of(having_all[-1]))
        made[f"{found.series.name}-details"] = ["### What it went to", "", origin(having_all[-1]), "", *details(found)]
    return made


def details(found: Found) -> list[str]:
    """What the CPU seconds, the requests and the time went to."""
    title = found.series.title
    lines = [f"#### CPU seconds by process, ours / bare: {title}", "", *by_process(found)]
    lines += ["", f"#### CPU seconds beyond bare Helm's: {title}", "", *beyond(found)]
    lines += ["", f"#### API requests a release, ours / bare: {title}", "", *by_request(found)]
    lines += ["", f"#### Seconds of one operation by what they were spent on, mean: {title}", "", *by_part(found)]
    lines += ["", f"#### Seconds of each step, p50 / p95 / p99: {title}", "", *by_step(found)]
    lines += [
        "",
        f"#### MiB after a phase, ours / bare, the most of all: {title}",
        "",
        *by_memory(found),
    ]
    return lines


def summary(found: Found) -> list[str]:
    """One line a phase."""
    rows = []
    for phase in found.phases:
        ours, bare = found.of("ours", phase), found.of("bare", phase)
        seconds = found.seconds("ours", phase), found.seconds("bare", phase)
        cpu = found.cpu("ours", phase), found.cpu("bare", phase)
        requests = [middle(sum(each.costs.requests.values()) for each in arm) / found.size for arm in (ours, bare)]
        rows.append(
            (
                phase,
                f"{middle(seconds[0].values()):.2f}",
                f"{middle(seconds[1].values()):.2f}",
                ratio_cell(*seconds),
                percentiles(each for record in ours for each in record.latencies),
                percentiles(each for record in bare for each in record.latencies),
                f"{middle(cpu[0].values()):.1f} / {middle(cpu[1].values()):.1f}",
                ratio_cell(*cpu),
                f"{requests[0]:.0f} / {requests[1]:.0f}",
                f"{middle(each.costs.calls for each in ours) / found.size:.1f}",
                max((count for record in ours for count in record.events), default=0),
                f"{middle(each for record in ours for each in record.history_bytes) / 1024:.1f}",
            )
        )
    return table(SUMMARY, rows)


def by_process(found: Found) -> list[str]:
    """CPU seconds: one line a process, one column a phase."""

    def of(process: str, arm: str, phase: str) -> float:
        return middle(each.costs.cpu.get(process, 0.0) for each in found.of(arm, phase))

    rows = [
        (name, *(f"{of(name, 'ours', phase):.2f} / {of(name, 'bare', phase):.2f}" for phase in PHASES))
        for name in PROCESSES
    ]
    return table(("", *PHASES), rows)


def beyond(found: Found) -> list[str]:
    """What ours costs more than bare Helm, by who has it, beside what the target of the time would leave for it."""

    def more(phase: str, names: Sequence[str]) -> float:
        ours, bare = found.cpu("ours", phase, names), found.cpu("bare", phase, names)
        return middle(ours[number] - bare[number] for number in ours.keys() & bare.keys())

    rows = [(group, *(f"{more(phase, names):+.1f}" for phase in PHASES)) for group, names in GROUPS.items()]
    rows.append(("all together", *(f"{more(phase, PROCESSES):+.1f}" for phase in PHASES)))
    limits = LIMITS.get(found.size, {})
    left = [
        (limits[each] - 1) * middle(found.cpu("bare", each).values()) if each in limits else None for each in PHASES
    ]
    rows.append(("what the target leaves", *("–" if each is None else f"{each:+.1f}" for each in left)))
    return table(("", *PHASES), rows)


def by_request(found: Found) -> list[str]:
    """API requests a release: one line a verb and resource."""
    kinds = {kind for each in found.records for kind in each.costs.requests}

    def of(kind: str, arm: str, phase: str) -> float:
        return middle(each.costs.requests.get(kind, 0) for each in found.of(arm, phase)) / found.size

    rows = []
    for kind in sorted(kinds, key=lambda kind: (kind.split()[1], kind)):
        counts = [(of(kind, "ours", phase), of(kind, "bare", phase)) for phase in PHASES]
        if any(count >= LITTLE for pair in counts for count in pair):
            rows.append((kind, *(f"{ours:.1f} / {bare:.1f}" for ours, bare in counts)))
    return table(("", *PHASES), rows)


def by_part(found: Found) -> list[str]:
    """Seconds of one operation: one line a part. Means, so that they add up; in the queue are workflow tasks, too."""

    def mean(phase: str, part: str) -> float:
        return statistics.fmean([s for each in found.of("ours", phase) for s in each.parts.get(part, ())] or [0.0])

    parts = dict.fromkeys(part for each in found.of("ours", PHASES[0]) for part in each.parts)
    return table(("", *PHASES), [(part, *(f"{mean(phase, part):.2f}" for phase in PHASES)) for part in parts])


def by_step(found: Found) -> list[str]:
    """Seconds of each step of ours, from the histories: one line a step."""
    steps: list[str] = []
    for phase in PHASES:
        steps += [step for each in found.of("ours", phase) for step in each.steps if step not in steps]
    rows = [(step, *(percentiles(_of_step(found, phase, step)) for phase in PHASES)) for step in dict.fromkeys(steps)]
    return table(("", *PHASES), rows)


def _of_step(found: Found, phase: str, step: str) -> Iterator[float]:
    for each in found.of("ours", phase):
        yield from each.steps.get(step, ())


def by_memory(found: Found) -> list[str]:
    """The most that each process held at the end of a phase; both find what the other has left resident."""
    names = [name for name in PROCESSES if name != "client"]

    def most(name: str, arm: str) -> float:
        return max((each.memory.get(name, 0.0) for phase in PHASES for each in found.of(arm, phase)), default=0.0)

    return table(("", "MiB"), [(name, f"{most(name, 'ours'):.0f} / {most(name, 'bare'):.0f}") for name in names])


def targets(found: Found) -> Iterator[Target]:
    """What was promised of the figures that there are."""
    if found.series.present or found.series.on_disk:
        return
    for phase, limit in LIMITS.get(found.size, {}).items():
        told = ratio(found.seconds("ours", phase), found.seconds("bare", phase))
        if told is not None:
            yield Target(f"{phase} of {found.size}", limit, told, " × bare")
    for phase, most in HISTORY.items():
        if events := [count for record in found.of("ours", phase) for count in record.events]:
            yield Target(f"history of a {phase}", most, max(events), " events")
