"""The catalog: what tenants can buy, as the operator writes it in `catalog.yaml`, checked to the last key.

A plan names a chart (directory, OCI reference or repository) and everything an instance of it needs. Values may
hold placeholders `${instance.name}`, `${instance.tenant}`, `${instance.namespace}`, `${instance.release}`,
`${instance.plan}`, `${instance.url}` and `${secret.NAME}` (the name of an existing Secret the plan makes); any
other is refused when the catalog is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from .drift_kinds import Policy, What
from .errors import BadInput

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_INSTANCE_KEYS = frozenset({"name", "tenant", "namespace", "release", "plan", "url"})
_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_DATA_KEY = r"^[-._a-zA-Z0-9]{1,253}$"
_TAGS = ("(generate)", "(copy)", "[key]")
_VALUE_PATH = r"^[^.\s]+(\.[^.\s]+)*$"
_QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|[MGTPE]|[KMGTPE]i)?"


_USERINFO = re.compile(r"//[^/\s]*@")
_CREDENTIALS = (
    "its address holds a user or a password, which arguments of processes and causes would show; "
    "use OCI and `helm registry login`, or give the chart by its path"
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


UpgradeFailure = Literal["rollback", "park"]


class ChartRef(_Part):
    """Where a chart comes from: exactly one of `path`, `oci`, or `repository` with `name`."""

    path: str | None = None
    """A directory or archive; a relative one counts from the catalog's folder."""
    oci: str | None = None
    repository: str | None = None
    name: str | None = None
    version: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ChartRef:
        sources = [key for key in ("path", "oci", "repository") if getattr(self, key)]
        if any(_USERINFO.search(source) for source in (self.oci, self.repository) if source):
            raise ValueError(_CREDENTIALS)
        if len(sources) != 1:
            raise ValueError(f"give exactly one of path, oci, repository (found: {', '.join(sources) or 'none'})")
        if self.oci and not self.oci.startswith("oci://"):
            raise ValueError("oci must start with oci://")
        if (self.name is None) == (self.repository is not None):
            raise ValueError("name goes with repository, and repository needs name")
        if not self.path and not self.version:
            raise ValueError("version is missing: an unpinned chart would change under running instances")
        return self

    @property
    def label(self) -> str:
        """The chart for people, e.g. ``charts/room`` or ``oci://host/chart 1.2.0``."""
        source = self.path or self.oci or f"{self.repository} {self.name}"
        return f"{source} {self.version}" if self.version else source


class Generated(_Part):
    """A Secret that is made once, with random values, and kept for ever after (only purge deletes it)."""

    name: str = Field(pattern=_DNS_LABEL)
    generate: dict[Annotated[str, Field(pattern=_DATA_KEY)], Annotated[int, Field(ge=8, le=256)]] = Field(min_length=1)
    """Key → length in characters (letters and digits)."""


class Copied(_Part):
    """A Secret copied from the operator's namespace, e.g. a pull secret; anew by every prepare step."""

    name: str = Field(pattern=_DNS_LABEL)
    copy_from: str = Field(alias="copy", pattern=_DNS_LABEL)
    """The Secret's name in the operator's namespace."""


class FromSecret(_Part):
    """For charts that insist on a value: a key of one of the plan's Secrets, given to Helm on its standard input."""

    value: str = Field(pattern=_VALUE_PATH)
    """The value's path in the chart, e.g. ``auth.password``."""
    secret: str
    key: str = Field(pattern=_DATA_KEY)


class Deadlines(_Part):
    """How long each step may take, in seconds, retries included, from when a worker takes it.

    To say what is missing it has up to 20 more.
    """

    prepare: float = Field(default=120, gt=0, le=86_400)
    release: float = Field(default=300, gt=0, le=86_400)
    """One attempt; the step has twice as long, so that what a killed Helm left can be recovered."""
    ready: float = Field(default=600, gt=0, le=86_400)
    gone: float = Field(default=300, gt=0, le=86_400)
    """Waiting for pods, or the namespace, to be gone."""
    decision: float = Field(default=86_400, gt=0, le=30 * 86_400)
    """How long a parked operation waits for an operator before it takes the safe answer."""

    @property
    def longest(self) -> float:
        """The longest of a step's: what an undo, which may do any of it, is given for one attempt."""
        return max(self.prepare, self.release, self.ready, self.gone)


def _refuse_unknown(found: str) -> str:
    group, _, key = found.partition(".")
    if (group == "secret" and key) or (group == "instance" and key in _INSTANCE_KEYS):
        return ""
    known = ", ".join(f"${{instance.{key}}}" for key in sorted(_INSTANCE_KEYS))
    raise ValueError(f"unknown placeholder ${{{found}}}; known are {known} and ${{secret.NAME}}")


def _values_usable(values: dict[str, Any]) -> dict[str, Any]:
    _demand_json(values, "")
    _substitute(values, _refuse_unknown)
    return values


def _demand_json(value: Any, path: str) -> None:
    """Values travel as JSON: what YAML can say and JSON cannot (a date, .nan, a key 1) is refused by its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(  # noqa: TRY004 - pydantic takes ValueError as an answer about the input
                    f"{path}{key!r} is a key that is no text: write it in quotes"
                )
            if _PLACEHOLDER.search(key):
                raise ValueError(f"{path}{key} is a key with a placeholder: only values can hold one")
            _demand_json(item, f"{path}{key}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _demand_json(item, f"{path}{index}.")
    elif not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{path.removesuffix('.')} is a {type(value).__name__} ({value}): write it in quotes")


def _url_usable(url: str | None) -> str | None:
    def check(found: str) -> str:
        if found == "instance.url" or not found.startswith("instance."):
            raise ValueError(
                f"${{{found}}} cannot be a part of the url; use ${{instance.name}} or another of its names"
            )
        return _refuse_unknown(found)

    _substitute(url, check)
    return url


Values = Annotated[dict[str, Any], AfterValidator(_values_usable)]


def _quantity(value: object) -> str:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(_QUANTITY, text):
        raise ValueError("it is no quantity such as 500m, 1Gi or 10")
    return text


Quantity = Annotated[str, BeforeValidator(_quantity)]
"""A Kubernetes quantity, e.g. ``500m``, ``1Gi`` or ``10``."""


def _names_findings(pattern: str) -> str:
    kind, _, where = pattern.partition(" ")
    if not where or not any(fnmatchcase(what, kind) for what in What):
        raise ValueError(
            f"it names no finding: write a kind and an object, e.g. '{What.REPLICAS_CHANGED} Deployment *'"
        )
    return pattern


def _repairable(policies: dict[What, Policy]) -> dict[What, Policy]:
    for what, policy in policies.items():
        if policy is not Policy.REPORT and not what.is_repairable:
            raise ValueError(f"no repair mends {what} without a person's judgement: it can only be reported")
    return policies


def _kind_of_secret(item: object) -> str:
    return "(copy)" if isinstance(item, Copied) or (isinstance(item, dict) and "copy" in item) else "(generate)"


PlanSecret = Annotated[
    Annotated[Generated, Tag("(generate)")] | Annotated[Copied, Tag("(copy)")], Discriminator(_kind_of_secret)
]


def _duration(value: object) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", str(value))
    length = timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else timedelta()
    if not length:
        raise ValueError("it is no duration such as 90s, 30m, 12h or 14d")
    return length


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""Written as a whole number of seconds, minutes, hours or days, e.g. ``14d``."""


class Rates(_Part):
    """How much of a reported metric a tenant may use."""

    day: Annotated[Decimal, Field(ge=0)] | None = None
    month: Annotated[Decimal, Field(ge=0)] | None = None

    @property
    def by_period(self) -> dict[str, Decimal]:
        """Those that are said."""
        said = {"day": self.day, "month": self.month}
        return {period: rate for period, rate in said.items() if rate is not None}


class Limits(_Part):
    """What a tenant may have in all of its instances, held against each request before anything is touched."""

    instances: Annotated[int, Field(ge=0)] | None = None
    """All but purged ones."""
    storage: Quantity | None = None
    """What volume claims request, kept ones of uninstalled instances too, e.g. ``50Gi``."""
    reported: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], Rates] = Field(default_factory=dict)
    """By metric, per day or month of UTC."""


class Plan(_Part):
    """What an instance of the plan is made of."""

    chart: ChartRef
    values: Values = Field(default_factory=dict)
    secrets: list[PlanSecret] = Field(default_factory=list)
    secret_values: list[FromSecret] = Field(default_factory=list)
    url: Annotated[str | None, AfterValidator(_url_usable)] = None
    """Where the instance answers; may hold placeholders."""
    quota: dict[str, Quantity] = Field(default_factory=dict)
    """A ResourceQuota's `hard`, e.g. ``pods: 10``."""
    container_defaults: dict[Annotated[str, Field(pattern="^(default|defaultRequest)$")], dict[str, Quantity]] = Field(
        default_factory=dict
    )
    """A LimitRange's container `default` and `defaultRequest`, e.g. ``{default: {cpu: 500m}}``."""
    pod_security: Literal["privileged", "baseline", "restricted"] = "baseline"
    network: Literal["isolated", "open"] = "isolated"
    """`isolated`: pods of other instances' namespaces cannot reach this one's."""
    cluster_objects: list[str] = Field(default_factory=list)
    """Kinds without a namespace that the chart may make, e.g. ``ClusterRole``; others are refused."""
    deadlines: Deadlines = Field(default_factory=Deadlines)
    on_upgrade_failure: UpgradeFailure = "rollback"
    """`rollback`: a failed upgrade goes back to the revision that ran; `park`: an operator is asked first."""
    drift: Annotated[dict[What, Policy], AfterValidator(_repairable)] = Field(default_factory=dict)
    """What is to be done about drift, by kind of finding; what is not named is reported."""
    ignore_drift: list[Annotated[str, AfterValidator(_names_findings)]] = Field(default_factory=list)
    """Findings that are none for this plan: kind and object with wildcards, e.g. ``replicas-changed Deployment *``."""
    limits: Limits | None = None
    stop_after: Duration | None = None
    """A trial: an instance that first ran so long ago is stopped, e.g. ``14d``."""
    idle_stop_after: Duration | None = None
    """An instance that runs, and of which nothing was reported for so long, is stopped, e.g. ``2h``."""
    description: str = ""

    @model_validator(mode="after")
    def _secrets_known(self) -> Plan:
        names = [secret.name for secret in self.secrets]
        if len(set(names)) != len(names):
            raise ValueError("secrets: two have the same name")
        wanted = {item.secret for item in self.secret_values}

        def collect(found: str) -> str:
            if found.startswith("secret."):
                wanted.add(found.removeprefix("secret."))
            return ""

        _substitute(self.values, collect)
        for name in sorted(wanted - set(names)):
            raise ValueError(f"secret {name!r} is used and not listed under secrets")
        made = {secret.name: secret.generate for secret in self.secrets if isinstance(secret, Generated)}
        for item in self.secret_values:
            if item.key not in made.get(item.secret, [item.key]):
                raise ValueError(f"secret_values: secret {item.secret!r} has no key {item.key!r}")
        # In this order a path comes right before those that lead through it, or name the same value again.
        paths = sorted(item.value.split(".") for item in self.secret_values)
        for one, next_one in pairwise(paths):
            if next_one[: len(one)] == one:
                raise ValueError(f"secret_values: {'.'.join(one)} and {'.'.join(next_one)} cannot both have a value")
        return self


class Catalog(_Part):
    """All plans by name."""

    plans: dict[Annotated[str, Field(pattern=_DNS_LABEL)], Plan] = Field(min_length=1)

    def plan(self, name: str) -> Plan:
        """The plan of that name.

        Raises:
            BadInput: there is none; names those there are.
        """
        found = self.plans.get(name)
        if found is None:
            raise BadInput("plan", name, "is not in the catalog", fix=f"use one of: {', '.join(sorted(self.plans))}")
        return found


def parse(document: object, *, folder: str, source: str = "catalog.yaml") -> Catalog:
    """The catalog from a YAML document already read into Python; relative chart paths count from `folder`.

    Raises:
        BadInput: with the path to the bad key, for the first that is wrong, and how many more there are.
    """
    try:
        catalog = Catalog.model_validate(document)
    except ValidationError as error:
        problems = error.errors()
        first = problems[0]
        path = ".".join(str(part) for part in first["loc"] if part not in _TAGS) or "(top level)"
        more = f" ({len(problems) - 1} more to mend)" if len(problems) > 1 else ""
        raise BadInput(
            f"{source}: {path}",
            "(not shown: it holds a password)" if _USERINFO.search(str(first.get("input"))) else first.get("input"),
            f"is wrong: {first['msg'].removeprefix('Value error, ')}{more}",
            fix="correct it in the catalog",
        ) from None
    plans = {name: _anchored(plan, folder) for name, plan in catalog.plans.items()}
    return Catalog(plans=plans)


def _anchored(plan: Plan, folder: str) -> Plan:
    path = plan.chart.path
    if path is None or PurePosixPath(path).is_absolute():
        return plan
    return plan.model_copy(update={"chart": plan.chart.model_copy(update={"path": f"{folder}/{path}"})})


def fill(values: Mapping[str, Any], *, instance: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, Any]:
    """The values with every placeholder replaced.

    `instance` has the keys of the placeholders; `secrets` maps the plan's name of a Secret to its name in the
    cluster. A value that is one placeholder and nothing else stays a string.
    """

    def look_up(found: str) -> str:
        group, _, key = found.partition(".")
        return instance[key] if group == "instance" else secrets[key]

    filled: dict[str, Any] = _substitute(values, look_up)
    return filled


def _substitute(value: Any, replace: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: replace(match.group(1)), value)
    if isinstance(value, Mapping):
        return {key: _substitute(item, replace) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, replace) for item in value]
    return value


def mark_of(*parts: object) -> str:
    """A digest of what is wanted of a release, short enough for a label value: equal marks, equal wishes."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]
