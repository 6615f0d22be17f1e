"""What a backend imports to ask for operations: temporalio and pydantic, nothing heavier."""

from ..model.errors import (
    Answer,
    BadInput,
    Busy,
    Cause,
    Forbidden,
    InnkeeperError,
    MissingExtra,
    OperationFailed,
    Refused,
    Unreachable,
)
from ..model.explaining import Explanation
from ..model.findings import FindingPage, FindingRecord, Reconciled
from ..model.freezes import Freeze
from ..model.instance import Instance, Kind, Status
from ..model.messages import Choice, Decided, OperationRecord, OperationResult, Outcome, Question, StepEvent, StepState
from ..model.ports import InstancePage, OperationPage
from ..model.preview import Adoption
from ..model.reports import Recorded, UsageReport
from ..model.usage_ports import Figure, Metered, UsagePage
from .api import Innkeeper
from .delivery import OnConflict
from .descriptions import OperationDescription
from .handle import OperationHandle
from .operators import Parked
from .sync import SyncInnkeeper, SyncOperationHandle
from .timeline import Part, Span, Timeline

__all__ = [
    "Adoption",
    "Answer",
    "BadInput",
    "Busy",
    "Cause",
    "Choice",
    "Decided",
    "Explanation",
    "Figure",
    "FindingPage",
    "FindingRecord",
    "Forbidden",
    "Freeze",
    "Innkeeper",
    "InnkeeperError",
    "Instance",
    "InstancePage",
    "Kind",
    "Metered",
    "MissingExtra",
    "OnConflict",
    "OperationDescription",
    "OperationFailed",
    "OperationHandle",
    "OperationPage",
    "OperationRecord",
    "OperationResult",
    "Outcome",
    "Parked",
    "Part",
    "Question",
    "Reconciled",
    "Recorded",
    "Refused",
    "Span",
    "Status",
    "StepEvent",
    "StepState",
    "SyncInnkeeper",
    "SyncOperationHandle",
    "Timeline",
    "Unreachable",
    "UsagePage",
    "UsageReport",
]
