"""The summary that every run of a command writes, under the names that operators' jobs read."""

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from schemas.documents.gate import Verdict

MOST_IN_HISTORY: Final = 4096
"""Bytes of JSON of what was asked for, at most, that the history of runs keeps."""

JOBS: Final = frozenset(
    {
        "brake-engage", "brake-release", "dlq-cancel", "dlq-discard", "dlq-plan", "dlq-rehearse", "dlq-replay",
        "dlq-replay-topic", "identity-backfill", "identity-require-proof", "offsets-skip", "pause-end", "pause-start",
        "process", "topics-adopt",
    }
)  # fmt: skip
"""The names of all jobs, as summaries, the history of runs and metrics say them."""


class TargetError(BaseModel):
    """One target that failed: `site:3`, `org:31` or a file, and a short reason."""

    target: str
    reason: str


class RunSummary(BaseModel):
    """What one run did; each command adds counters of its own. Times are UTC with `Z`, in whole seconds."""

    model_config = ConfigDict(extra="allow")

    script: str
    run_id: str
    started_at: str
    ended_at: str | None = None
    duration_ms: int | None = None
    dry_run: bool = False
    targets_total: int = 0
    processed_total: int = 0
    succeeded_total: int = 0
    failed_total: int = 0
    warnings: list[str] = Field(default_factory=list)
    errors: list[TargetError] = Field(default_factory=list)

    def in_history(self) -> Self:
        """What of it is kept for ever: nothing that grows with what was asked."""
        return self

    def ended(self, now: datetime, started: datetime | None = None, /, **counters: Any) -> Self:
        """The summary with its end, duration and counters filled in; without `started` the duration is to the second."""
        started = started or datetime.strptime(self.started_at, _FORM).replace(tzinfo=UTC)
        return self.model_copy(
            update={
                "ended_at": now.strftime(_FORM),
                "duration_ms": max(0, round((now - started).total_seconds() * 1000)),
                **counters,
            }
        )


class ProcessSummary(RunSummary):
    """What one `bridge process` did: outcomes of attempts, drops by reason, and the gate's verdict over them.

    `gate` is null where nothing was judged: the run ended before it had looked at an event.
    """

    rounds_total: int = 0
    normalized_total: int = 0
    retried_total: int = 0
    dropped_total: int = 0
    stale_total: int = 0
    dropped_by_reason: dict[str, int] = Field(default_factory=dict)
    gate: Verdict | None = None


class OffsetsSummary(RunSummary):
    """What an operator did to stored offsets, and why; one line for each change."""

    reason: str = ""
    changes: list[str] = Field(default_factory=list)


class BrakeSummary(RunSummary):
    """What a `bridge breaker release` or `engage` left behind."""

    reason: str = ""
    engaged: bool = False
    released_until: str | None = None


class IdentitySummary(RunSummary):
    """What `bridge identity backfill` found in the ledger. `processed_total` counts rows.

    `changed_total` are those that were another site's or nobody's, `windows_moved_total` their counts in gate windows,
    `windows_missing_total` those of which no window could be told, `unknown_key_total` rows that are left as they are.
    """

    changed_total: int = 0
    changed_by_site: dict[str, int] = Field(default_factory=dict)
    by_sender: dict[str, int] = Field(default_factory=dict)
    windows_moved_total: int = 0
    windows_missing_total: int = 0
    unknown_key_total: int = 0


class PauseSummary(RunSummary):
    """What `bridge pause start` or `end` did: to what, why, and whether that changed anything."""

    kind: str = ""
    pause_target: str = ""
    reason: str = ""
    changed: bool = False


class DiscardSummary(RunSummary):
    """What `bridge dlq discard` closed, and why. `processed_total` counts dead letters.

    `left` counts those that the filter means and that are left as they are, by disposition: they were closed, claimed or
    replayed before, or are open and not known to be persisted. Of these open ones nothing tells whether the `unidentified`
    were persisted.
    """

    reason: str = ""
    filter: dict[str, Any] = Field(default_factory=dict)
    persisted: bool = Field(False, description="only those whose events are persisted, sent again by their producers")
    left: dict[str, int] = Field(default_factory=dict)
    unidentified: int = Field(
        0,
        description="of the open ones that `persisted` leaves, those without a readable site, event id or class of sender",
    )

    def in_history(self) -> Self:
        """Of a long filter its beginning, and a digest by which it can be told from others."""
        text = json.dumps(self.filter, ensure_ascii=False).encode()
        if len(text) <= MOST_IN_HISTORY:
            return self
        brief = {
            "bytes": len(text),
            "sha256": hashlib.sha256(text).hexdigest(),
            "beginning": text[: MOST_IN_HISTORY // 2].decode(errors="ignore"),
        }
        return self.model_copy(update={"filter": brief})


S = TypeVar("S", bound=RunSummary)
_FORM = "%Y-%m-%dT%H:%M:%SZ"


def rfc3339(moment: datetime) -> str:
    """The moment in UTC with `Z`, in whole seconds, as summaries write it."""
    return moment.astimezone(UTC).strftime(_FORM)


def begin_summary(script: str, now: datetime, kind: type[S], *, dry_run: bool = False) -> S:
    """A summary of that kind at its beginning, with a run id such as 20260210T143001Z-8f1c."""
    run_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return kind(script=script, run_id=run_id, started_at=now.strftime(_FORM), dry_run=dry_run)
