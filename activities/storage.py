"""Helm's storage as activities read it: through the cluster, in one request."""

from __future__ import annotations

from ..model import release
from ..model.messages import Work
from ..model.ports import Cluster
from ..model.release import Revision


async def read_revisions(cluster: Cluster, work: Work) -> list[Revision]:
    """The release's revisions as Helm's storage shows them, the oldest first; one request."""
    labels = release.storage_labels(work.release)
    return release.revisions_of(await cluster.list_objects("v1", "Secret", namespace=work.namespace, labels=labels))
