"""What an adoption will do, as a client is told before it is asked for: apart from what finds it out, for its readers.

Backends read it, who need neither YAML nor Helm.
"""

from __future__ import annotations

from pydantic import Field

from .messages import Message


class Planned(Message):
    """One object of an adoption, for people."""

    object: str
    what: str
    """What is done with it, or why it is left."""


class Adoption(Message):
    """What an adoption will do, object by object."""

    instance: str
    tenant: str
    plan: str
    namespace: str
    release: str
    revision: int = 0
    """Helm's revision that is deployed."""
    chart: str = ""
    pods: int = 0
    """Pods in the namespace that run on untouched."""
    marked: list[Planned] = Field(default_factory=list)
    """Somebody's objects that get the instance's marks."""
    made: list[Planned] = Field(default_factory=list)
    """What is missing around the release and the plan asks for."""
    left: list[Planned] = Field(default_factory=list)
    """What an operator would expect to be done and is not, with the reason."""
    beside: list[str] = Field(default_factory=list)
    """Workloads of others in the namespace: stopped, started and purged with the instance from then on."""
    storage_mib: int = 0
    """What the namespace's volume claims request: it counts against the plan's limit."""
    digest: str = ""
    """Stands for what is marked, made, left and beside: given back as `confirmed`, nothing else is done."""
    asked_before: bool = False
    """The request id is known: it has been asked for, and nothing would be done anew."""
