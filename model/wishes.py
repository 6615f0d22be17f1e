"""What is wanted of an instance's release, from its plan: the same for the check, the release and its readiness."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .catalog import Plan, fill, mark_of
from .messages import Work
from .ports import Release


def url_of(work: Work, plan: Plan) -> str | None:
    """Where the instance answers, None where the plan does not say."""
    if plan.url is None:
        return None
    filled = fill({"url": plan.url}, instance=_facts(work), secrets={})
    return str(filled["url"])


def wanted_release(work: Work, plan: Plan, *, chart_digest: str, secret_values: dict[str, Any]) -> Release:
    """The release as the plan wants it; its mark changes exactly when what is wanted changes.

    `chart_digest` stands for the chart's content. The mark is not secret, so that secret values have no part in it, but
    where they come from and go to has.
    """
    facts = {**_facts(work), "url": url_of(work, plan) or ""}
    values = fill(plan.values, instance=facts, secrets={secret.name: secret.name for secret in plan.secrets})
    sources = [source.model_dump() for source in plan.secret_values]
    return Release(
        name=work.release,
        namespace=work.namespace,
        chart=plan.chart,
        values=values,
        secret_values=secret_values,
        mark=mark_of(chart_digest, values, *([sources] if sources else [])),
    )


def nested(values: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Values by their paths (``auth.password``), as a chart takes them. No path may lead through another."""
    whole: dict[str, Any] = {}
    for path, value in values:
        *parents, leaf = path.split(".")
        place = whole
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value
    return whole


def _facts(work: Work) -> dict[str, str]:
    return {
        "name": work.instance,
        "tenant": work.tenant,
        "namespace": work.namespace,
        "release": work.release,
        "plan": work.plan,
    }
