"""What people see of an operation: its step events, and the details that Temporal's UI shows beside a run."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..model.messages import DECIDE_UPDATE, Question, StepEvent, StepState
    from ..model.names import workflow_id_of


class Journal:
    """The events of one operation, in order."""

    def __init__(self) -> None:
        self.events: list[StepEvent] = []
        self.step = ""
        """The step that runs, or ran last."""
        self._details = ""

    def say(self, step: str, state: StepState, detail: str = "") -> None:
        """Add an event."""
        self.events.append(StepEvent(step=step, state=state, at=workflow.now(), detail=detail))

    def tell(self, details: str) -> None:
        """Show something beside the run in Temporal's UI, in Markdown, until something else is told."""
        self._details = details
        workflow.set_current_details(details)

    def ask(self, question: Question, instance: str) -> None:
        """Show a question there, with the commands that answer it."""
        workflow.set_current_details(_in_markdown(question, instance))

    def asked(self) -> None:
        """Show again what was told before the question."""
        workflow.set_current_details(self._details)


def _in_markdown(question: Question, instance: str) -> str:
    """The question with the exact commands that answer it, for Temporal's UI."""
    cause = question.cause
    lines = [f"### Parked: {question.headline}", "", cause.message, ""]
    lines += [f"- object: `{cause.object}`"] if cause.object else []
    lines += [f"- fix: {cause.fix}"] if cause.fix else []
    lines += [f"- without an answer by {question.answer_by:%Y-%m-%d %H:%M:%S} UTC: **{question.otherwise}**", ""]
    for choice in question.choices:
        command = f"innkeeper decide {instance} {choice} --question {question.id}"
        lines += [f"**{choice}**: {question.meaning(choice)}", "", "```", command, "```", ""]
    answer = f'{{"choice": "{question.choices[0]}", "operator": "YOUR NAME", "question": "{question.id}"}}'
    lines += ["Or here: More Actions, Send an Update, `decide`, with the data", "", "```", answer, "```", ""]
    lines += ["Or with Temporal's own command line:", "", "```"]
    lines += [f"temporal workflow update execute --workflow-id {workflow_id_of(instance)} \\"]
    lines += [f"  --name {DECIDE_UPDATE} --input '{answer}'", "```"]
    return "\n".join(lines)
