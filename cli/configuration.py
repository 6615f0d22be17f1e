"""The effective settings with the source of each: `innkeeper config`."""

from __future__ import annotations

import os
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, TomlConfigSettingsSource
from pydantic_settings.sources import DotEnvSettingsSource, SecretsSettingsSource

from ..client import connection
from ..settings import DEFAULT_TEMPORAL, PREFIX, Settings
from .documents import Configuration, Setting
from .session import Session

DEFAULT = "default"
OPTION = "option"
OF_PLATFORM = "platform"


def effective(session: Session) -> Configuration:
    """Every setting, Temporal's among them.

    Raises:
        BadInput: a setting is wrong, or Temporal's configuration cannot be read.
    """
    values = session.settings.masked()
    sources = sources_of(session.given_settings)
    own = [
        Setting(name=name, value=value, source=sources.get(name, DEFAULT))
        for name, value in values.items()
        if name != "temporal_address"
    ]
    return Configuration(settings=[*_temporal(session, sources), *own])


def sources_of(given: dict[str, Any]) -> dict[str, str]:
    """Setting → where its value comes from, by asking the settings' own sources in their own order."""
    found: dict[str, str] = {}

    class Traced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            ordered = super().settings_customise_sources(
                settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
            )
            for source in ordered:
                for name in source():
                    found.setdefault(name, _label(source, name, first=source is init_settings))
            return ordered

    Traced.load(**given)
    return found


def _label(source: PydanticBaseSettingsSource, name: str, *, first: bool) -> str:
    if first:
        return OPTION
    # The more special classes first: the file's source is a kind of the environment's.
    if isinstance(source, DotEnvSettingsSource):
        return ".env"
    if isinstance(source, SecretsSettingsSource):
        return "secrets directory"
    if isinstance(source, EnvSettingsSource):
        return f"{PREFIX}{name.upper()}"
    return "innkeeper.toml" if isinstance(source, TomlConfigSettingsSource) else OF_PLATFORM


def _temporal(session: Session, sources: dict[str, str]) -> list[Setting]:
    """Address and namespace as the client will use them: our own settings before Temporal's configuration."""
    told = connection.configuration()
    address = session.settings.temporal_address
    if address is not None:
        source = sources.get("temporal_address", DEFAULT)
    else:
        address, source = _from_temporal(told.get("target_host"), "TEMPORAL_ADDRESS", DEFAULT_TEMPORAL)
    namespace = session.temporal_namespace
    if namespace is not None:
        named = OPTION if session.given.get("temporal_namespace") else OF_PLATFORM
    else:
        namespace, named = _from_temporal(told.get("namespace"), "TEMPORAL_NAMESPACE", "default")
    return [
        Setting(name="temporal_address", value=address, source=source),
        Setting(name="temporal_namespace", value=namespace, source=named),
    ]


def _from_temporal(value: str | None, variable: str, default: str) -> tuple[str, str]:
    if os.environ.get(variable):
        return os.environ[variable], variable
    return (value, "Temporal's configuration file") if value else (default, DEFAULT)
