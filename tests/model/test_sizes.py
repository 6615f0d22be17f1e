"""What an instance asks of its cluster, from its pods and claims."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from innkeeper.model.sizes import Sizes, amount_of, sizes_of

Manifest = dict[str, Any]


def container(cpu: str | None = None, memory: str | None = None, **more: Any) -> Manifest:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"name": "c", "resources": {"requests": requests}, **more}


def pod(*containers: Manifest, phase: str = "Running", **spec: Any) -> Manifest:
    return {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": list(containers), **spec},
        "status": {"phase": phase},
    }


def claim(size: str) -> Manifest:
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "v"},
        "spec": {"resources": {"requests": {"storage": size}}},
    }


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("500m", Fraction(1, 2)),
        ("0.1", Fraction(1, 10)),
        (".5", Fraction(1, 2)),
        (2, 2),
        (0.5, Fraction(1, 2)),
        ("1k", 1000),
        ("100n", Fraction(1, 10**7)),
        ("3u", Fraction(3, 10**6)),
        ("1Ki", 1024),
        ("1.5Gi", 3 * 2**29),
        ("2M", 2 * 10**6),
        ("2G", 2 * 10**9),
        ("1Mi", 2**20),
        ("1Ti", 2**40),
        ("1Pi", 2**50),
        ("1Ei", 2**60),
        ("1T", 10**12),
        ("1P", 10**15),
        ("1E", 10**18),
        ("1e3", 1000),
        ("12E-1", Fraction(6, 5)),
        ("much", 0),
        ("1Gi ", 0),
        ("-1", 0),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(quantity: object, amount: Fraction | int) -> None:
    assert amount_of(quantity) == amount


def test_what_containers_and_claims_request_is_added_up() -> None:
    found = sizes_of([pod(container("100m", "64Mi"), container("50m", "64Mi")), pod(container("1")), claim("10Gi")])
    assert found == Sizes(cpu_millicores=1150, memory_mib=128, storage_mib=10240)


def test_totals_are_rounded_up_once() -> None:
    assert sizes_of([pod(container("100u", "1k")), pod(container("100u", "1k")), claim("1M"), claim("1M")]) == Sizes(
        cpu_millicores=1, memory_mib=1, storage_mib=2
    )


def test_sidecars_count_and_what_runs_before_a_pod_does_not() -> None:
    before = [container("1", "1Gi"), container("200m", "32Mi", restartPolicy="Always")]
    assert sizes_of([pod(container("100m", "32Mi"), initContainers=before)]) == Sizes(cpu_millicores=300, memory_mib=64)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_that_ended_ask_for_nothing(phase: str) -> None:
    assert sizes_of([pod(container("1", "1Gi"), phase=phase)]) == Sizes()


def test_what_is_about_to_go_asks_for_nothing() -> None:
    going = [pod(container("1", "1Gi")), claim("1Gi")]
    for manifest in going:
        manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert sizes_of(going) == Sizes()


def test_what_requests_nothing_and_what_is_no_pod_counts_nothing() -> None:
    bare: list[Manifest] = [
        {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}},
        {"kind": "Pod", "metadata": {"name": "q"}, "spec": {"containers": [{"name": "c", "resources": None}]}},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "v"}, "spec": {}},
        {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 3}},
    ]
    assert sizes_of(bare) == Sizes()
