"""The settings of a worker and of the command line, in one place, with where each may come from.

In this order: arguments given by the caller, the environment (`INNKEEPER_…`), `.env`, files of secrets
(`/run/secrets/innkeeper_…`), `innkeeper.toml`, the platform on this machine (its addresses file, where one runs),
defaults. Temporal's own settings are Temporal's standard client configuration (`TEMPORAL_…` and its TOML file); only
the platform's address stands in for it where nothing is said.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from .model import catalog as catalogs
from .model.catalog import Catalog
from .model.errors import BadInput
from .model.manifests import read_yaml

PREFIX = "INNKEEPER_"
STATE_DIR = Path(".innkeeper")
SECRETS_DIR = Path("/run/secrets")
ADDRESSES = "platform.json"
DEFAULT_TEMPORAL = "localhost:7233"

_FROM_PLATFORM = {
    "supabase_url": "supabase_url",
    "supabase_key": "supabase_service_key",
    "kubeconfig": "kubeconfig",
    "kube_context": "context",
    "temporal_address": "temporal_address",
}
"""Setting → key of the platform's addresses file."""


class Settings(BaseSettings):
    """Where the parts are, and how this worker uses them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", toml_file="innkeeper.toml", extra="ignore", frozen=True
    )

    state_dir: Path = STATE_DIR
    """The state of the platform on this machine, if there is one."""
    secrets_dir: Path = SECRETS_DIR
    """A folder of files named `innkeeper_…`, each holding one setting: where container engines put secrets."""
    temporal_address: str | None = None
    """Host and port of Temporal; None: Temporal's own client configuration decides."""
    supabase_url: str | None = None
    supabase_key: SecretStr | None = None
    """The service role's key: operations write rows, which no other role may."""
    kubeconfig: Path | None = None
    """Named explicitly: whatever context happens to be current is never used by accident."""
    kube_context: str | None = None
    """A context of the kubeconfig; may be left out where it has only one. Its current-context is never used."""
    in_cluster: bool = False
    """Use the service account of the pod that the worker runs in, in place of a kubeconfig."""
    helm: Path | None = None
    """The helm to run; None: the one on PATH, else the environment's."""
    catalog: Path = Path("catalog.yaml")
    operator_namespace: str = Field(default="innkeeper-system", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    """Holds the Secrets that plans copy, and takes the strict dry runs of charts."""
    task_queue: str = "innkeeper"
    helm_slots: int | None = Field(default=None, ge=1, le=256)
    """Helm processes at once; None: two a core."""
    concurrent_activities: int = Field(default=500, ge=1, le=10_000)
    """Steps at once; most of them wait for readiness and cost little. While all are taken nothing else is done."""
    sweep_every: int = Field(default=60, ge=0, le=86_400)
    """Seconds from one look for lost operations to the next; 0: none. The same for all workers."""
    meter_every: int = Field(default=300, ge=0, le=86_400)
    """Seconds from one metering to the next; 0: none. The same for all workers."""
    reconcile_every: int = Field(default=300, ge=0, le=86_400)
    """Seconds from one look for drift to the next; 0: none. The same for all workers."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of the module's head."""
        toml = TomlConfigSettingsSource(settings_cls)
        given = {**toml(), **dotenv_settings(), **env_settings(), **init_settings()}
        folder = Path(given.get("secrets_dir") or SECRETS_DIR)
        secrets = SecretsSettingsSource(settings_cls, folder) if folder.is_dir() else file_secret_settings
        platform = InitSettingsSource(settings_cls, _platform({**secrets(), **given}))
        return init_settings, env_settings, dotenv_settings, secrets, toml, platform

    @classmethod
    def load(cls, **given: Any) -> Settings:
        """The effective settings; what is given as None counts as not given.

        Raises:
            BadInput: one is wrong; names it, its value and the fix.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except tomllib.TOMLDecodeError as error:
            toml = str(cls.model_config.get("toml_file"))
            raise BadInput("settings", toml, f"is no TOML: {error}", fix="correct it, or remove it") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]) if first["loc"] else "settings"
            value = "(hidden)" if "key" in name else first.get("input")
            raise BadInput(name, value, f"is wrong: {first['msg']}", fix=f"set {PREFIX}{name.upper()}") from None

    def masked(self) -> dict[str, str | int | bool | None]:
        """The effective settings for people, without secrets."""
        shown = self.model_dump(mode="json")
        shown["supabase_key"] = None if self.supabase_key is None else "********"
        return shown

    def load_catalog(self) -> Catalog:
        """Read the catalog.

        Raises:
            BadInput: the file is missing, is no YAML, or has a bad key; says which.
        """
        return load_catalog(self.catalog)


def load_catalog(path: Path) -> Catalog:
    """Read a catalog file; relative chart paths count from its folder.

    Raises:
        BadInput: as `Settings.load_catalog`.
    """
    fix = f"set {PREFIX}CATALOG to the catalog's file"
    try:
        document = read_yaml(path.read_text())
    except OSError as error:
        raise BadInput("catalog", str(path), f"cannot be read: {error.strerror}", fix=fix) from None
    except ValueError as error:
        raise BadInput("catalog", str(path), f"cannot be read: {error}", fix="correct it") from None
    return catalogs.parse(document, folder=str(path.resolve().parent), source=path.name)


def _platform(given: Mapping[str, Any]) -> dict[str, Any]:
    """The addresses of the platform on this machine, as far as one left any, and its parts were not given instead."""
    state = Path(given.get("state_dir") or os.environ.get(f"{PREFIX}STATE_DIR") or STATE_DIR)
    try:
        addresses = json.loads((state / ADDRESSES).read_text())
    except (OSError, ValueError):
        return {}
    found = {name: addresses[key] for name, key in _FROM_PLATFORM.items() if addresses.get(key)}
    if given.get("kubeconfig") or given.get("in_cluster"):
        found.pop("kubeconfig", None)
        found.pop("kube_context", None)
    if given.get("supabase_url"):
        found.pop("supabase_key", None)
    if os.environ.get("TEMPORAL_ADDRESS"):
        found.pop("temporal_address", None)
    return found
