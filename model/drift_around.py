"""What stands around a release against what the plan says of it: quota, limits, policies, and the Secrets' keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from . import marks, surroundings
from .catalog import Generated, Plan
from .drift_kinds import What
from .drift_picture import Home
from .findings import Finding, repair_command
from .instance import Instance, Kind, Status
from .messages import Work
from .ports import Ref

ABSENT = "(absent)"

_MISSING = {
    "ResourceQuota": What.QUOTA_MISSING,
    "LimitRange": What.LIMITS_MISSING,
    "NetworkPolicy": What.POLICY_MISSING,
}
_CHANGED = {
    "ResourceQuota": What.QUOTA_CHANGED,
    "LimitRange": What.LIMITS_CHANGED,
    "NetworkPolicy": What.POLICY_CHANGED,
}
_DEFAULTED = frozenset({"defaultRequest"})
"""What the API server fills in where it is not given."""

_RESTORE = "restore it from a backup; without one `innkeeper repair {}` makes a new one, which its volumes do not know"

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|[MGTPE]|[KMGTPE]i)?")
_DECIMAL = ("", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def work_of(row: Instance) -> Work:
    """What a repair of the instance would be told, to say what it would make."""
    return Work(
        request_id="drift",
        kind=Kind.REPAIR,
        instance=row.name,
        tenant=row.tenant,
        plan=row.plan,
        namespace=row.namespace,
        release=row.release,
        generation=row.generation,
    )


def judge_around(row: Instance, plan: Plan, home: Home) -> Iterator[Finding]:
    """Quota, limits, policies and Pod Security level that are not as the plan has them."""
    # The row's own mend: a stopped instance's surroundings are brought up to date by the start after an upgrade.
    mend = f"innkeeper upgrade {row.name}" if row.status is Status.STOPPED else repair_command(row.name)
    work = work_of(row)
    for manifest in surroundings.around(work, plan):
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        where = str(Ref.to(manifest))
        live = home.around.get((kind, name))
        if live is None:
            wanted = "\n".join(f"{path}: {want}" for path, want, _ in differences(manifest["spec"], {}))
            yield Finding(instance=row.name, what=_MISSING[kind], object=where, wanted=wanted, found=ABSENT, mend=mend)
        elif changed := list(differences(manifest["spec"], live.get("spec") or {})):
            yield _changed(row, _CHANGED[kind], where, changed, mend)
    levels = surroundings.namespace(work, plan)["metadata"]["labels"]
    security = {name: level for name, level in levels.items() if name.startswith("pod-security.")}
    found = (home.namespace or {"metadata": {}})["metadata"].get("labels") or {}
    if changed := list(differences(security, {name: found[name] for name in security if name in found})):
        yield _changed(row, What.POLICY_CHANGED, f"Namespace {row.namespace}", changed, mend)


def judge_stop_quota(row: Instance, home: Home) -> Iterator[Finding]:
    """The quota of no pods has to stand exactly while the instance is stopped."""
    ref = Ref("v1", "ResourceQuota", marks.STOP_QUOTA, row.namespace)
    stands, stopped = ("ResourceQuota", marks.STOP_QUOTA) in home.around, row.status is Status.STOPPED
    if stands != stopped:
        yield Finding(
            instance=row.name,
            what=What.QUOTA_MISSING if stopped else What.QUOTA_CHANGED,
            object=str(ref),
            wanted="pods: 0" if stopped else ABSENT,
            found=ABSENT if stopped else "pods: 0",
            mend=repair_command(row.name),
        )


def judge_secrets(row: Instance, plan: Plan, home: Home) -> Iterator[Finding]:
    """Secrets of the plan that are not there, lack keys, or were written by somebody else."""
    for wanted in plan.secrets:
        where = str(Ref("v1", "Secret", wanted.name, row.namespace))
        keys = sorted(wanted.generate) if isinstance(wanted, Generated) else []
        found = home.secrets.get(wanted.name)
        if found is None or not found.names.issuperset(keys):
            yield Finding(
                instance=row.name,
                what=What.SECRET_MISSING,
                object=where,
                wanted=f"keys: {', '.join(keys)}" if keys else f"a copy of {getattr(wanted, 'copy_from', '')}",
                found=ABSENT if found is None else f"keys: {', '.join(sorted(found.names)) or 'none'}",
                mend=_RESTORE.format(row.name) if keys else repair_command(row.name),
            )
        elif others := {key: found.others[key] for key in keys if key in found.others}:
            yield Finding(
                instance=row.name,
                what=What.SECRET_CHANGED,
                object=where,
                wanted="\n".join(f"{key}: written by {marks.MANAGER}" for key in others),
                found="\n".join(f"{key}: written by {who}" for key, who in others.items()),
                mend="see that the instance works with the new value, then take it as it is: "
                f"kubectl patch secret {wanted.name} --namespace {row.namespace} --type merge "
                """--patch '{"metadata":{"managedFields":[{}]}}'""",
            )


def _changed(row: Instance, what: What, where: str, changed: list[tuple[str, str, str]], mend: str) -> Finding:
    return Finding(
        instance=row.name,
        what=what,
        object=where,
        wanted="\n".join(f"{path}: {wanted}" for path, wanted, _ in changed),
        found="\n".join(f"{path}: {found}" for path, _, found in changed),
        mend=mend,
    )


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Where two specs differ: path, what is wanted, what is found. Quantities are compared by what they come to."""
    if isinstance(wanted, Mapping) and found is None:
        found = {}
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted({*wanted, *found}):
            if key in wanted or key not in _DEFAULTED:
                below = f"{path}.{key}" if path else str(key)
                yield from differences(wanted.get(key), found.get(key), below)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (want, have) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(want, have, f"{path}.{index}")
    elif not _same(wanted, found):
        yield path, _told(wanted), _told(found)


def _same(wanted: Any, found: Any) -> bool:
    if wanted == found:
        return True
    amounts = [_amount(str(value)) for value in (wanted, found)]
    return None not in amounts and amounts[0] == amounts[1]


def _amount(text: str) -> Decimal | None:
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, suffix = Decimal(found[1]), found[2] or ""
    if suffix == "m":
        return number / 1000
    return number * (
        Decimal(1024) ** _BINARY.index(suffix) if suffix in _BINARY else Decimal(1000) ** _DECIMAL.index(suffix)
    )


def _told(value: Any) -> str:
    return ABSENT if value is None else str(value)
