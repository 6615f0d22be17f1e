"""The real parts, opened for the crash matrix: in the process that judges, and in each worker that may be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from temporalio.client import Client

from innkeeper.client import connection
from innkeeper.client.desk import TemporalDesk
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.freeze_rows import SupabaseFreezes
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model.errors import BadInput
from innkeeper.settings import Settings
from innkeeper.worker import activities

from .played import Cast, CutShort, PlayedCluster, PlayedDatabase, PlayedHelm, to_the_end


class Parts(NamedTuple):
    """Connections to all parts."""

    client: Client
    cluster: KubernetesCluster
    helm: HelmCommand
    rows: SupabaseDatabase
    settings: Settings

    def steps(self, cast: Cast, cut_short: CutShort = to_the_end) -> list[Callable[..., Any]]:
        """Every activity over these parts, as they are played."""
        return activities(
            cluster=PlayedCluster(lambda _: self.cluster, cast),
            helm=PlayedHelm(lambda _: self.helm, cast, cut_short),
            database=PlayedDatabase(self.rows, cast),
            meters=SupabaseUsage(self.rows),
            freezes=self.rows.sharing(SupabaseFreezes),
            desk=TemporalDesk(self.client, self.settings.task_queue),
            catalog=self.settings.load_catalog(),
            operator_namespace=self.settings.operator_namespace,
        )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Parts]:
    """Connections by these settings, closed on the way out."""
    if settings.supabase_url is None or settings.supabase_key is None:
        raise BadInput("supabase_url", None, "is missing", fix="give all addresses of a platform")
    async with AsyncExitStack() as stack:
        cluster = await KubernetesCluster.connect(settings.kubeconfig, settings.kube_context)
        stack.push_async_callback(cluster.close)
        rows = await SupabaseDatabase.connect(settings.supabase_url, settings.supabase_key.get_secret_value())
        stack.push_async_callback(rows.aclose)
        helm = HelmCommand(kubeconfig=settings.kubeconfig, context=cluster.context)
        client = await connection.connect(settings.temporal_address)
        yield Parts(client, cluster, helm, rows, settings)
