"""What one operation costs on an idle platform, step by step, beside bare Helm on the same platform in the same run.

Prints a Markdown table and writes the figures, with the machine and its load, to benchmarks/results/operations.json.
Timings are told here and nowhere asserted: the same work differs by half from one run to the next.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform as machine
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.client import Client

from innkeeper.client import Innkeeper, OperationHandle
from innkeeper.embedded.options import Addresses, Options
from innkeeper.embedded.platform import Platform
from innkeeper.gateways.helm import find_helm
from innkeeper.model.messages import StepState

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results" / "operations.json"
KINDS = ("provision", "stop", "start", "restart", "uninstall", "purge")


class Figures:
    """Seconds by operation and step, and history events by operation."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.events: dict[str, int] = {}

    def note(self, kind: str, step: str, seconds: float) -> None:
        """One measurement."""
        self.seconds[kind][step].append(seconds)

    def medians(self, kind: str) -> dict[str, float]:
        """Median seconds of each step and of the whole."""
        return {step: statistics.median(found) for step, found in self.seconds[kind].items()}


async def operation(
    figures: Figures, temporal: Client, kind: str, ask: Callable[[], Awaitable[OperationHandle]]
) -> None:
    """Do one operation and note what it took."""
    begun = time.perf_counter()
    handle = await ask()
    result = await handle.result()
    figures.note(kind, "total", time.perf_counter() - begun)
    started: dict[str, float] = {}
    for event in result.steps:
        if event.state is StepState.STARTED:
            started[event.step] = event.at.timestamp()
        elif event.state is StepState.DONE and event.step != "record":
            figures.note(kind, event.step, event.at.timestamp() - started[event.step])
    history = await temporal.get_workflow_handle(f"instance/{handle.instance}", run_id=handle.run_id).fetch_history()
    figures.events[kind] = len(history.events)


async def bare(figures: Figures, addresses: Addresses, number: int) -> None:
    """Bare Helm: install until available, then uninstall."""
    name = f"bare-{number}"
    where = ["--namespace", name, "--kubeconfig", str(addresses.kubeconfig), "--kube-context", str(addresses.context)]
    helm = str(find_helm())
    chart = str(ROOT / "tests" / "data" / "charts" / "created")
    for step, command in (
        (
            "helm install --wait",
            ["install", name, chart, "--create-namespace", "--disable-openapi-validation", "--wait"],
        ),
        ("helm uninstall", ["uninstall", name]),
    ):
        begun = time.perf_counter()
        child = await asyncio.create_subprocess_exec(helm, *command, *where, stdout=asyncio.subprocess.DEVNULL)
        if await child.wait():
            raise SystemExit(f"{step} failed")
        figures.note("bare Helm", step, time.perf_counter() - begun)


async def measure(rounds: int) -> dict[str, Any]:
    """All figures of one run."""
    figures = Figures()
    catalog = ROOT / "benchmarks" / "catalog.yaml"
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-") as folder:
        begun = time.perf_counter()
        options = Options(state_dir=Path(folder), temporal_in_memory=True, worker=True, catalog=catalog)
        async with Platform(options) as platform:
            ready = time.perf_counter() - begun
            innkeeper = await Innkeeper.connect(platform.addresses.temporal_address)
            temporal = await Client.connect(platform.addresses.temporal_address)
            for number in range(rounds):
                await bare(figures, platform.addresses, number)
                name = f"bench-{number}"
                for kind in KINDS:
                    more = {"tenant": "t", "plan": "bench"} if kind == "provision" else {}
                    await operation(figures, temporal, kind, partial(getattr(innkeeper, kind), name, **more))
    return {
        "machine": {"cores": os.cpu_count(), "system": machine.platform(), "python": sys.version.split()[0]},
        "load before and after": [before[0], os.getloadavg()[0]],
        "rounds": rounds,
        "platform ready, s": round(ready, 2),
        "history events": figures.events,
        "median seconds": {kind: figures.medians(kind) for kind in ("bare Helm", *KINDS)},
    }


def show(told: dict[str, Any]) -> None:
    """The Markdown table."""
    print(f"platform ready in {told['platform ready, s']} s; medians of {told['rounds']} rounds, seconds")
    print("\n| operation | total | history events | steps |\n| --- | --- | --- | --- |")
    for kind in KINDS:
        steps = dict(told["median seconds"][kind])
        total = steps.pop("total")
        shown = ", ".join(f"{step} {seconds:.2f}" for step, seconds in steps.items())
        print(f"| {kind} | {total:.2f} | {told['history events'][kind]} | {shown} |")
    helm = told["median seconds"]["bare Helm"]
    print(f"\nbare Helm: {', '.join(f'{step} {seconds:.2f}' for step, seconds in helm.items())}")
    ratio = told["median seconds"]["provision"]["total"] / helm["helm install --wait"]
    print(f"provision / bare `helm install --wait`: {ratio:.2f}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    told = asyncio.run(measure(parser.parse_args().rounds))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    show(told)


if __name__ == "__main__":
    main()
