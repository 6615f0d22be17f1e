"""What is known of a chart once it was rendered for a plan: learned once a worker, for the check and the release."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..model.catalog import Plan, mark_of
from ..model.manifests import forgets_data
from ..model.messages import Work
from ..model.ports import Cluster, Helm, Manifest
from ..model.wishes import nested, wanted_release

RENDER_LIMIT = 30.0
"""Seconds for rendering a chart, dependencies and a remote repository's answer included."""


class Facts(NamedTuple):
    """What rendering told."""

    key: str
    """The chart's content together with the plan: what these facts hold for."""
    digest: str
    """The chart's content."""
    namespace: str
    """The namespace it was rendered for, which need not be the one that is asked about now."""
    forgets_data: bool
    """An uninstall would delete volumes: Helm must be told to keep them."""
    rendered: tuple[Manifest, ...]


class Charts:
    """Renders each chart once for each plan that uses it."""

    def __init__(self, helm: Helm, cluster: Cluster) -> None:
        self._helm = helm
        self._cluster = cluster
        self._known: dict[str, Facts] = {}

    async def facts(self, work: Work, plan: Plan) -> Facts:
        """The facts of the plan's chart.

        Raises:
            BadInput: the chart does not render, or the plan's values do not fit its schema.
        """
        digest = await self._helm.chart_digest(plan.chart)
        key = mark_of(digest, plan.model_dump(mode="json"))
        if key not in self._known:
            release = wanted_release(work, plan, chart_digest=digest, secret_values=_placeholders(plan))
            version, known = await self._cluster.version(), await self._cluster.api_versions()
            rendered = tuple(
                await self._helm.template(release, limit=RENDER_LIMIT, kube_version=version, api_versions=known)
            )
            forgets = any(forgets_data(manifest) for manifest in rendered)
            self._known[key] = Facts(key, digest, work.namespace, forgets, rendered)
        return self._known[key]


def _placeholders(plan: Plan) -> dict[str, Any]:
    """Something in place of each secret value: charts that insist on one do not render without."""
    return nested((item.value, "not-the-secret") for item in plan.secret_values)
