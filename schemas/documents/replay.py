"""Documents of replays: dead letters, plans with their items, previews, and outcomes."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from pydantic import BaseModel, Field

from schemas.documents.run_summary import RunSummary
from schemas.pipeline.record import Provenance, RawBody
from schemas.pipeline.sender import Sender

CANARY_FAILED: Final = "the canary failed"
"""The beginning of the reason with which a run ends because its canary was dropped again.

The canary is the first part of a plan's items, sent before the others.
"""


def _counts(description: str) -> Any:
    return Field(default_factory=dict, description=description)


class Forecast(StrEnum):
    """What today's code would do with a dead letter, as predicted by a dry run."""

    PASSES = "passes"
    FAILS_THE_SAME = "fails_the_same"
    FAILS_OTHERWISE = "fails_otherwise"
    PERSISTED = "persisted"  # its event is persisted from another record, so a replay would be recorded as a duplicate
    COPY = "copy"  # it has the event id of an earlier item in the plan
    REFUSED = "refused"  # it can't be replayed


class Outcome(StrEnum):
    """What became of a plan's item."""

    OPEN = "open"  # not sent, and available to any replay
    IN_DOUBT = "in_doubt"  # claimed by a run that was killed, so perhaps sent
    UNSETTLED = "unsettled"  # sent, and not read by a worker yet
    WAITING = "waiting"  # failed, and waits for its retry
    PERSISTED = "persisted"
    DUPLICATE = "duplicate"
    DROPPED = "dropped"  # dropped again; the new dead letter names this one
    SKIPPED = "skipped"  # not sent, for a recorded reason


class PlanState(StrEnum):
    """The state of a plan."""

    PLANNED = "planned"
    RUNNING = "running"  # or its run was killed
    STOPPED = "stopped"  # can be continued
    CANCELLED = "cancelled"  # can't be continued
    SENT = "sent"


class DeadLetterItem(NamedTuple):
    """One dead letter in the ledger, with its position in a plan.

    `lives` is the number of dead letters in its chain of replays: itself, and those that it replays. `org_id` is the
    organisation that its site has now. `sender` is None if the row was written before sender classes existed.
    """

    position: int
    provenance: Provenance
    site_id: int | None
    body: RawBody
    received_at: datetime
    error_class: str
    last_error: str
    dropped_reason: str | None
    disposition: str | None
    replay_id: str | None
    replayed_as: str | None
    replay_of: str | None
    lives: int = 1
    org_id: int | None = None
    sender: Sender | None = None
    script_id: str | None = None
    event_id: str | None = None


class Plan(NamedTuple):
    """A plan. `corrections` are operations of a JSON Patch; `published` is the number of events sent.

    `org_id` is the organisation to which it is limited; None for no limit.
    """

    replay_id: str
    requested_by: str
    reason: str
    filter: dict[str, Any]
    corrections: list[dict[str, Any]]
    report: dict[str, Any]
    planned: int
    published: int
    sent_to: int
    last_position: int
    state: PlanState
    ended_by: str
    ended_because: str
    created_at: datetime
    updated_at: datetime
    org_id: int | None = None

    @property
    def canary_failed(self) -> bool:
        """Whether the last run ended because too many events of the canary were dropped again."""
        return self.state is PlanState.STOPPED and self.ended_because.startswith(CANARY_FAILED)


class PlanLine(NamedTuple):
    """A plan in a list. Texts are cut to a thousand characters. `corrected` is True if the plan has corrections."""

    replay_id: str
    requested_by: str
    reason: str
    corrected: bool
    planned: int
    published: int
    sent_to: int
    state: PlanState
    ended_by: str
    ended_because: str
    created_at: datetime
    updated_at: datetime
    org_id: int | None


class Example(BaseModel):
    """One of the items that would fail otherwise than before, or that are refused."""

    provenance: str
    why: str


class Sample(BaseModel):
    """What the plan's correction changes in one of its items, as lines of a unified diff."""

    provenance: str
    diff: list[str]


class Replaced(BaseModel):
    """A producer's value that the plan's correction replaces by a constant, in items of one site.

    Texts are JSON, and cut.
    """

    field: str
    value: str = Field(description="JSON text of the old value; `missing` without quotes if the field is missing")
    new: str
    site_id: int | None
    org_id: int | None = Field(description="organisation that the registry has for the site")
    items: int


class PlanReport(BaseModel):
    """The items of a plan, and their outcomes in a dry run with today's code."""

    items: int = 0
    by_forecast: dict[Forecast, int] = Field(default_factory=dict)
    by_reason: dict[str, int] = _counts("number of items by dropped_reason and class of the last error")
    by_site: dict[str, int] = _counts("number of items by site; `unknown`: no readable site")
    by_age: dict[str, int] = _counts("number of items by the time since the raw event was received")
    failures: dict[str, int] = _counts("the most frequent errors of today's code")
    refusals: dict[str, int] = _counts("number of items that can't be replayed, by reason")
    examples: list[Example] = Field(default_factory=list)
    samples: list[Sample] = Field(
        default_factory=list, description="one for each site and old value; only the first of many"
    )
    replaced: list[Replaced] = Field(default_factory=list, description="the most frequent old values, by site")
    warnings: list[str] = Field(
        default_factory=list,
        description="warnings that several old values would become the same, or that events of several organisations would change",
    )


class PlanSummary(RunSummary):
    """The result of one `bridge dlq plan`, or of a dry run of `bridge dlq replay`."""

    replay_id: str | None = None
    report: PlanReport = Field(default_factory=PlanReport)

    def in_history(self) -> Self:
        """Return the summary without producers' data, which are stored with the plan instead."""
        return self.model_copy(update={"report": self.report.model_copy(update={"samples": [], "replaced": []})})


class ReplaySummary(RunSummary):
    """What one `bridge dlq replay` or `cancel` did, and what had become of the plan's items when it ended."""

    replay_id: str = ""
    reason: str = ""
    state: PlanState = PlanState.PLANNED
    planned_total: int = 0
    sent_total: int = Field(0, description="number of events that this run has sent")
    outcomes: dict[Outcome, int] = _counts("number of all items of the plan, by outcome")
    dropped_by_reason: dict[str, int] = _counts("number of items that were dropped again, by reason")
    skipped_by_reason: dict[str, int] = Field(default_factory=dict)


class TopicReplaySummary(RunSummary):
    """The result of one `bridge dlq replay --from-topic`. `processed_total` is the number of records read.

    Dead letters that are in the ledger are not sent. Plan and replay them from the ledger.
    """

    topic: str = ""
    sent_total: int = 0
    in_the_ledger: int = 0
    without_value: int = Field(0, description="not sent, because their value was too large for a dead letter")
    refused: int = Field(0, description="not sent, because the raw topic refuses them, for example for their size")
    forecast: dict[str, int] = _counts("number of dead letters by today's outcome: `passes`, or the class of the error")
