"""What an instance asks of its cluster, added up from its pods and volume claims as the API server shows them.

Observed rather than rendered: limit ranges have filled in what the chart left out, and claims that an uninstall kept
are there, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Manifest = dict[str, Any]

_QUANTITY = re.compile(r"([0-9]*\.?[0-9]+)(?:[eE]([+-]?[0-9]+)|(n|u|m|k|[MGTPE]|[KMGTPE]i)?)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_MIB = 2**20


class Sizes(BaseModel):
    """Requested totals of one instance, each rounded up to a whole unit."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cpu_millicores: int = Field(default=0, ge=0)
    memory_mib: int = Field(default=0, ge=0)
    storage_mib: int = Field(default=0, ge=0)
    """Of volume claims; they outlive a stop and an uninstall."""


def amount_of(quantity: object) -> Fraction:
    """A Kubernetes quantity as a number, e.g. 1/2 for ``500m``; 0 for what is none, which no API server stores."""
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None:
        return Fraction(0)
    number, suffix = Fraction(found[1]), found[3]
    if suffix in _BINARY:
        return number * Fraction(1024 ** (_BINARY.index(suffix) + 1))
    # Python reads an exponent as Kubernetes does.
    return number * Fraction(f"1e{found[2] or _DECIMAL.get(suffix, 0)}")


def sizes_of(objects: Iterable[Manifest]) -> Sizes:
    """The totals of a namespace's pods, those that run on and not those that ended or go, and of its volume claims."""
    cpu = memory = storage = Fraction(0)
    for manifest in objects:
        if manifest["metadata"].get("deletionTimestamp"):
            continue
        if manifest["kind"] == "PersistentVolumeClaim":
            storage += _request(manifest["spec"], "storage")
        elif manifest["kind"] == "Pod" and (manifest.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            for container in _lasting(manifest["spec"]):
                cpu += _request(container, "cpu")
                memory += _request(container, "memory")
    return Sizes(
        cpu_millicores=math.ceil(cpu * 1000), memory_mib=math.ceil(memory / _MIB), storage_mib=math.ceil(storage / _MIB)
    )


def storage_asked(rendered: Iterable[Manifest]) -> int:
    """MiB that a chart's volume claims will request, those of its StatefulSets for each replica."""
    total = Fraction(0)
    for manifest in rendered:
        spec = manifest.get("spec") or {}
        if manifest["kind"] == "PersistentVolumeClaim":
            total += _request(spec, "storage")
        elif manifest["kind"] == "StatefulSet":
            claims = sum(_request(each["spec"], "storage") for each in spec.get("volumeClaimTemplates") or ())
            total += claims * spec.get("replicas", 1)
    return math.ceil(total / _MIB)


def _lasting(spec: Manifest) -> Iterator[Manifest]:
    """The containers that run as long as their pod does, sidecars among them."""
    yield from spec.get("containers") or ()
    yield from (each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always")


def _request(holder: Mapping[str, Any], resource: str) -> Fraction:
    requests = (holder.get("resources") or {}).get("requests") or {}
    return amount_of(requests.get(resource, 0))
