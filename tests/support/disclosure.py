"""Whether a secret is told where none may be: in a workflow's history, a row, a log, or Helm's stored values."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from listing import newest_listed
from temporalio.client import Client, WorkflowHistory

from innkeeper.model import names
from innkeeper.model.ports import Cluster
from innkeeper.model.revision import STORAGE_TYPE

_LONG = re.compile(r"[A-Za-z0-9]{16,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_WORDS = re.compile(r"(?:[A-Z]?[a-z]{2,}|[A-Z]{2,})+[A-Z]?")
"""And what begins the next field."""


def everything_of(history: WorkflowHistory) -> str:
    """All that a history holds, payloads as they are: its JSON has them in base64, where nothing can be found."""
    return b"".join(event.SerializeToString() for event in history.events).decode("latin-1")


async def histories_of(client: Client, name: str) -> str:
    """All that Temporal keeps of an instance: the histories of its operations and of what they handed over."""
    await newest_listed(client, names.workflow_id_of(name))
    query = f"InnkeeperInstance = '{name}' OR WorkflowId = '{names.workflow_id_of(name)}'"
    found = ""
    async for run in client.list_workflows(query):
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        found += everything_of(history)
    return found


async def secrets_of(cluster: Cluster, name: str) -> list[str]:
    """Every value of every Secret in an instance's namespace that is not Helm's storage."""
    held = await cluster.list_objects("v1", "Secret", namespace=names.namespace_of(name))
    values = [value for item in held if item.get("type") != STORAGE_TYPE for value in (item.get("data") or {}).values()]
    return [base64.b64decode(value).decode() for value in values]


def told_in(text: str, secrets: Iterable[str]) -> list[str]:
    """The secrets that a text holds: as they are, or in the base64 of whatever."""
    decoded = "".join(_unpacked(part[at:]) for part in _BASE64.findall(text) for at in range(4))
    return [each for each in secrets if each in text or each in decoded]


def _unpacked(part: str) -> str:
    whole = part if len(part) % 4 != 1 else part[:-1]
    return base64.b64decode(whole + "=" * (-len(whole) % 4)).decode("latin-1")


def looks_generated(text: str) -> list[str]:
    """What looks like letters and digits drawn by lot, plain or in base64; ids in hexadecimal and words do not.

    The base64 of letters and digits has neither `+` nor `/`.
    """
    return [each for each in _LONG.findall(text) if not (_HEX.fullmatch(each) or _WORDS.fullmatch(each))]
