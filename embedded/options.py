"""What may be chosen about a platform, and where the one that runs is to be found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ..model.messages import SEARCH_ATTRIBUTES

DEFAULT_STATE = Path(".innkeeper")
ADDRESSES = "platform.json"
PARTS = frozenset({"temporal", "supabase", "kubernetes"})


class Options(BaseModel):
    """How a platform is started. Parts of the user's own stand in for those that are named here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state_dir: Path = DEFAULT_STATE
    """Holds everything of this platform: data, keys, logs. Two platforms have two of them."""
    parts: frozenset[str] = PARTS
    """Which parts to start; the user's own are never started, whatever is said here."""
    temporal_in_memory: bool = False
    """Workflows are forgotten when it stops; two to three times as fast."""
    search_attributes: Mapping[str, str] = Field(default_factory=lambda: dict(SEARCH_ATTRIBUTES))
    """Name → Temporal's type, registered in the namespace."""
    worker: bool = False
    """Run Innkeeper's worker as well, started anew when it dies."""
    catalog: Path | None = None
    """The worker's catalog; by default the worker's own setting."""

    kubeconfig: Path | None = None
    """The user's own cluster, with `context`."""
    context: str | None = None
    """Which context of `kubeconfig`: never whatever is current there."""
    temporal_address: str | None = None
    """The user's own Temporal: host and port."""
    temporal_namespace: str = "default"
    supabase_url: str | None = None
    """The user's own Supabase, with its migrations applied, and `supabase_key`."""
    supabase_key: str | None = Field(default=None, repr=False)
    """The service role's key of `supabase_url`."""

    control_plane: Path | None = None
    """A binary, or a directory with one program each, in place of the cached or built ones."""
    helm: Path | None = None
    node: Path | None = None
    go: Path | None = None
    temporal: Path | None = None
    """Temporal's command line."""


class Addresses(BaseModel):
    """Where the parts of a running platform are. A part that does not run has empty addresses."""

    model_config = ConfigDict(frozen=True)

    temporal_ui: str = ""
    temporal_address: str = ""
    temporal_namespace: str = "default"
    supabase_url: str = ""
    supabase_service_key: str = Field(default="", repr=False)
    """The service role's: row-level security does not apply."""
    supabase_anon_key: str = Field(default="", repr=False)
    """For users, together with their own token."""
    supabase_jwt_secret: str = Field(default="", repr=False)
    """Signs users' tokens (HS256)."""
    kubeconfig: Path | None = None
    context: str | None = None

    def environment(self) -> dict[str, str]:
        """The variables by which a worker, the command line or a backend finds these parts."""
        found = {
            "TEMPORAL_ADDRESS": self.temporal_address,
            "TEMPORAL_NAMESPACE": self.temporal_namespace if self.temporal_address else "",
            "INNKEEPER_SUPABASE_URL": self.supabase_url,
            "INNKEEPER_SUPABASE_KEY": self.supabase_service_key,
            "INNKEEPER_KUBECONFIG": str(self.kubeconfig or ""),
            "INNKEEPER_KUBE_CONTEXT": self.context or "",
        }
        return {name: value for name, value in found.items() if value}


def addresses_of(state_dir: Path) -> Addresses | None:
    """What the platform on `state_dir` left for others to find it by, or None."""
    try:
        return Addresses.model_validate_json((state_dir / ADDRESSES).read_text())
    except FileNotFoundError:
        return None
