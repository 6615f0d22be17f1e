"""What `--output json` prints: one document a command, each a pydantic model, so that its schema is the code's own.

``python -m innkeeper.cli.documents`` prints the schema of all of them, which docs/cli.schema.json holds.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import models_json_schema

from ..client import Explanation, FindingRecord, Freeze, Parked, Reconciled, Timeline
from ..embedded.doctor import Row
from ..model.errors import Cause
from ..model.instance import Instance
from ..model.messages import Decided, OperationRecord, OperationResult, Outcome, Question, StepEvent
from ..model.preview import Adoption
from ..model.usage_ports import UsagePage


class Document(BaseModel):
    """Printed once, never read back."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Failure(Document):
    """Printed by every command that does not exit with 0, in place of its own document."""

    error: Cause
    exit_code: int
    request_id: str | None = None
    """The request's id, where one was made: ask again with it and nothing is done twice."""
    result: OperationResult | None = None
    """The end of the operation, where one ended."""


class Asked(Document):
    """An operation that was asked for and not waited for (`--no-wait`)."""

    request_id: str
    kind: str
    """The operation's, or `cancel`."""
    instance: str
    run_id: str | None
    """The operation's run at Temporal; null while the request waits for its turn."""


class Cancelled(Document):
    """An operation that was cancelled."""

    request_id: str
    instance: str
    result: OperationResult | None = None
    """Its end; null where it had not begun to touch anything."""


class ListedInstance(Instance):
    """An instance's row, and whether its operation is parked."""

    parked: bool | None
    """An operator is asked (`attention`); null where Temporal does not say."""


class InstanceList(Document):
    """Instances in the order of their names."""

    items: list[ListedInstance]
    next: str | None = None
    """Give it as `--after` to read on; null at the end."""


class ListedOperation(OperationRecord):
    """An operation's row, and whether it is parked."""

    parked: bool | None
    """An operator is asked (`attention`); null where Temporal does not say."""


class OperationList(Document):
    """Operations, the newest first."""

    items: list[ListedOperation]
    next: str | None = None
    """Give it as `--after` to read on; null at the end."""


class Attention(Document):
    """Everything that waits for an operator, the oldest first."""

    items: list[Parked]
    drift: list[FindingRecord] = Field(default_factory=list)
    """Drift that a plan asks an operator about; empty where it is not said where the rows are."""
    drift_unknown: str = ""
    """Why the rows could not be read."""


class DriftReport(Document):
    """What is known to disagree, the worst first."""

    items: list[FindingRecord]
    freezes: list[Freeze]
    """What is frozen: no repair is asked for by itself."""
    reconciled: Reconciled | None = None
    """What the look came to that was just had; null without `--now`."""


class Unfrozen(Document):
    """The end of a freeze."""

    unfrozen: bool
    """False where nothing was frozen."""


class OperationLog(Document):
    """An operation and its events so far."""

    request_id: str
    kind: str
    instance: str
    outcome: Outcome
    cause: Cause | None = None
    asked_by: str = ""
    started_at: datetime | None
    """Null while the request waits for its turn."""
    ended_at: datetime | None = None
    now: str = ""
    """What it waits for; empty after the end."""
    waiting_for: str = ""
    """What that waits for just now, e.g. a pod that no node takes, as far as it says so."""
    events: list[StepEvent]
    question: Question | None = None
    """What the operation is parked with; null while it is not, and where no worker answers."""


class PlatformStatus(Document):
    """The platform on a state directory. Its keys are in `addresses_file`, not here."""

    running: bool
    state_dir: Path
    pid: int | None = None
    temporal_ui: str = ""
    temporal_address: str = ""
    temporal_namespace: str = ""
    supabase_url: str = ""
    kubeconfig: Path | None = None
    context: str | None = None
    addresses_file: Path | None = None
    logs: Path
    failure: Cause | None = None
    """Why the last one ended, unless it was asked to."""


class Stopped(Document):
    """The end of the platform on a state directory."""

    state_dir: Path
    stopped: bool
    """False where none ran."""


class Diagnosis(Document):
    """All that the platform needs on this machine."""

    ok: bool
    checks: list[Row]


class Setting(Document):
    """One setting, as it takes effect."""

    name: str
    value: str | int | bool | None
    """Secrets are masked."""
    source: str


class Configuration(Document):
    """All settings."""

    settings: list[Setting]


class PlanSummary(Document):
    """A plan, as its buyers see it."""

    name: str
    description: str
    chart: str
    url: str | None = None


class PlanList(Document):
    """The catalog's plans."""

    plans: list[PlanSummary]


DOCUMENTS: dict[str, type[BaseModel]] = {
    "provision": OperationResult,
    "adopt": OperationResult,
    "adopt --dry-run": Adoption,
    "stop": OperationResult,
    "start": OperationResult,
    "restart": OperationResult,
    "upgrade": OperationResult,
    "repair": OperationResult,
    "uninstall": OperationResult,
    "purge": OperationResult,
    "cancel": Cancelled,
    "--no-wait": Asked,
    "attention": Attention,
    "decide": Decided,
    "drift": DriftReport,
    "explain": Explanation,
    "freeze": Freeze,
    "unfreeze": Unfrozen,
    "show": Instance,
    "list": InstanceList,
    "operations": OperationList,
    "logs": OperationLog,
    "logs --follow": StepEvent,
    "timeline": Timeline,
    "usage": UsagePage,
    "plans": PlanList,
    "config": Configuration,
    "up": PlatformStatus,
    "status": PlatformStatus,
    "down": Stopped,
    "doctor": Diagnosis,
    "(failure)": Failure,
}
"""Command → what it prints with `--output json`."""


def schema() -> dict[str, object]:
    """The JSON schema of every document; `commands` says which command prints which."""
    models = sorted({model.__name__: model for model in DOCUMENTS.values()}.items())
    _, document = models_json_schema([(model, "serialization") for _, model in models])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What `innkeeper … --output json` prints",
        "commands": {name: {"$ref": f"#/$defs/{model.__name__}"} for name, model in DOCUMENTS.items()},
        "$defs": document["$defs"],
    }


def pretty(document: BaseModel) -> str:
    """The document as text, one key a line."""
    return TypeAdapter(type(document)).dump_json(document, indent=2).decode()


def line(document: BaseModel) -> str:
    """The document in one line, for a stream of them."""
    return document.model_dump_json()


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
