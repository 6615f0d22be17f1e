"""Whether the pods and volume claims that are there fit a quota that is to be put around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from .ports import Manifest
from .sizes import amount_of

_COMPUTE = re.compile(r"(requests|limits)\.(cpu|memory|ephemeral-storage)")
_SAME = {
    "cpu": "requests.cpu",
    "memory": "requests.memory",
    "ephemeral-storage": "requests.ephemeral-storage",
    "count/pods": "pods",
    "count/persistentvolumeclaims": "persistentvolumeclaims",
}
"""Other names that a ResourceQuota knows for what it limits."""

Defaults = Mapping[str, Mapping[str, str]]
"""What a LimitRange gives to containers that say nothing: its `default` and `defaultRequest`."""


class Used(NamedTuple):
    """What is there that a quota counts."""

    pods: Sequence[Manifest]
    claims: Sequence[Manifest]
    defaults: Defaults
    """What containers that say nothing would be given, were they made anew."""


def unfit(hard: Mapping[str, str], used: Used) -> str:
    """Why a quota would refuse some of these pods and claims, were they made anew; empty where it would not."""
    for key, limit in hard.items():
        found = _counted(_SAME.get(key, key), used)
        if isinstance(found, str):
            return f"{key}: {found}"
        if found > amount_of(limit):
            return f"{key}: {_told(found)} are used, and the plan allows {limit}"
    return ""


def _told(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"{float(number):g}"


def _counted(name: str, used: Used) -> Fraction | str:
    """How much of it is used, or why that cannot be told."""
    compute = _COMPUTE.fullmatch(name)
    if compute is not None:
        return _computed(compute[1], compute[2], used)
    match name:
        case "pods":
            return Fraction(len(used.pods))
        case "persistentvolumeclaims":
            return Fraction(len(used.claims))
        case "requests.storage":
            return sum((amount_of(_storage(claim)) for claim in used.claims), Fraction())
    return "what is used of it is not counted here"


def _storage(claim: Manifest) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _computed(what: str, resource: str, used: Used) -> Fraction | str:
    total = Fraction()
    for pod in used.pods:
        found = _of_pod(pod["spec"], what, resource, used.defaults)
        if found is None:
            return f"a container of Pod {pod['metadata']['name']} says none"
        total += found
    return total


def _of_pod(spec: Mapping[str, Any], what: str, resource: str, defaults: Defaults) -> Fraction | None:
    """What a pod counts with: its containers together, or one that runs before them where that is more."""
    before = spec.get("initContainers") or []
    beside = [each for each in before if each.get("restartPolicy") == "Always"]
    together = [_of_container(each, what, resource, defaults) for each in (*spec["containers"], *beside)]
    alone = [_of_container(each, what, resource, defaults) for each in before]
    if None in together or None in alone:
        return None
    overhead = amount_of((spec.get("overhead") or {}).get(resource, "0"))
    return max([_sum(together), *_known(alone)]) + overhead


def _known(found: Iterable[Fraction | None]) -> list[Fraction]:
    return [each for each in found if each is not None]


def _sum(found: Iterable[Fraction | None]) -> Fraction:
    return sum(_known(found), Fraction())


def _of_container(container: Mapping[str, Any], what: str, resource: str, defaults: Defaults) -> Fraction | None:
    own = container.get("resources") or {}
    places = [(own, "limits"), (defaults, "default")]
    if what == "requests":
        # As the API server fills them in: a limit stands for a request that is not said.
        places = [(own, "requests"), (own, "limits"), (defaults, "defaultRequest"), (defaults, "default")]
    said = (((place.get(key) or {}).get(resource)) for place, key in places)
    return next((amount_of(str(each)) for each in said if each is not None), None)
