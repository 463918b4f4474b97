"""The summary of a command's run. Its field names are those that operators' jobs read."""

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

from pydantic import BaseModel, Field

from schemas.documents.gate import Verdict

MOST_IN_HISTORY: Final = 4096
"""The largest size in bytes of a request, as JSON, that the history of runs stores."""

JOBS: Final = frozenset(
    {
        "archive-create", "archive-restore", "archive-verify", "backup-attest", "backup-create", "backup-prune", "backup-verify", "brake-engage", "brake-release", "dlq-cancel", "dlq-discard", "dlq-plan", "dlq-rehearse", "dlq-replay",
        "dlq-replay-topic", "identity-backfill", "identity-require-proof", "offsets-skip", "pause-end", "pause-start",
        "process", "retention-apply", "retention-plan", "retention-run", "topics-adopt",
    }
)  # fmt: skip
"""The names of all jobs, as in summaries, the history of runs, and metrics."""


class TargetError(BaseModel):
    """One target that failed (`site:3`, `org:31` or a file), and a short reason."""

    target: str
    reason: str


class RunSummary(BaseModel, extra="allow"):
    """What one run has done. Each command adds counters of its own. Times are in UTC with `Z`, in whole seconds."""

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
        """Return the part that is stored permanently. Its size does not grow with the request."""
        return self

    def ended(self, now: datetime, started: datetime | None = None, /, **counters: Any) -> Self:
        """Return the summary with end, duration and counters.

        Without `started` the duration is exact to the second only.
        """
        started = started or datetime.strptime(self.started_at, _FORM).replace(tzinfo=UTC)
        return self.model_copy(
            update={
                "ended_at": now.strftime(_FORM),
                "duration_ms": max(0, round((now - started).total_seconds() * 1000)),
                **counters,
            }
        )


class ProcessSummary(RunSummary):
    """What one `bridge process` has done: outcomes of attempts, drops by reason, and the gate's verdict on them.

    `gate` is null if the run ended before it had read an event.
    """

    rounds_total: int = 0
    normalized_total: int = 0
    retried_total: int = 0
    dropped_total: int = 0
    stale_total: int = 0
    dropped_by_reason: dict[str, int] = Field(default_factory=dict)
    gate: Verdict | None = None


class OffsetsSummary(RunSummary):
    """An operator's changes of stored offsets, one line each, and the reason."""

    reason: str = ""
    changes: list[str] = Field(default_factory=list)


class BrakeSummary(RunSummary):
    """The circuit breaker's state after `bridge breaker release` or `engage`."""

    reason: str = ""
    engaged: bool = False
    released_until: str | None = None


class IdentitySummary(RunSummary):
    """What `bridge identity backfill` has changed in the ledger. `processed_total` is the number of rows.

    - `changed_total`: rows that had no site, or another one.
    - `windows_moved_total`: the counts of these rows that were moved between gate windows.
    - `windows_missing_total`: counts whose window is unknown.
    - `unknown_key_total`: rows that stay unchanged because the proof's key is unknown.
    """

    changed_total: int = 0
    changed_by_site: dict[str, int] = Field(default_factory=dict)
    by_sender: dict[str, int] = Field(default_factory=dict)
    windows_moved_total: int = 0
    windows_missing_total: int = 0
    unknown_key_total: int = 0


class PauseSummary(RunSummary):
    """The result of `bridge pause start` or `end`: the target, the reason, and whether anything changed."""

    kind: str = ""
    pause_target: str = ""
    reason: str = ""
    changed: bool = False


class BackupSummary(RunSummary):
    """A backup that was made, verified or attested. `processed_total` is the number of its rows.

    - `problems`: why a verified backup is not what it should be; empty if it is.
    - `restore_seconds`: how long its restore into the scratch database took; null if none was tried.
    """

    backup_id: str = ""
    stored_at: str = ""
    stored_bytes: int = 0
    tables: int = 0
    encrypted: bool = False
    restore_seconds: float | None = None
    problems: list[str] = Field(default_factory=list)


class BackupPruneSummary(RunSummary):
    """The backups that `bridge backup prune` has removed, or would remove. `processed_total` is their number.

    `unfinished` are objects of backups that were never complete.
    """

    removed: list[str] = Field(default_factory=list)
    unfinished: list[str] = Field(default_factory=list)
    kept_total: int = 0


class DiscardSummary(RunSummary):
    """What `bridge dlq discard` has discarded, and the reason. `processed_total` is the number of dead letters.

    `left` has the selected dead letters that stay unchanged, by disposition: they were closed, claimed or replayed
    before, or they are open and not known to be persisted. For the `unidentified` ones of the latter it can't be
    determined whether their events are persisted.
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
        """Return the summary with a long filter replaced by its beginning and a digest of it."""
        text = json.dumps(self.filter, ensure_ascii=False).encode()
        if len(text) <= MOST_IN_HISTORY:
            return self
        brief = {
            "bytes": len(text),
            "sha256": hashlib.sha256(text).hexdigest(),
            "beginning": text[: MOST_IN_HISTORY // 2].decode(errors="ignore"),
        }
        return self.model_copy(update={"filter": brief})


class ArchiveSummary(RunSummary):
    """Parts of a month's archive that were made, verified or restored. `processed_total` is the number of their rows.

    - `parts`: the ids of the parts.
    - `superseded`: parts that were removed from the store, because a new one has their rows.
    - `problems`: why a part is not what it should be.
    """

    month: str = ""
    stored_at: str = ""
    stored_bytes: int = 0
    files: int = 0
    parts: list[str] = Field(default_factory=list)
    superseded: list[str] = Field(default_factory=list)
    problems: list[str] = Field(default_factory=list)


class RetentionStepSummary(BaseModel):
    """One step of a plan of retention: its kind, and the rows and bytes by the plan and removed so far."""

    kind: str
    keep: str
    before: str
    rows: int
    bytes: int
    rows_removed: int = 0
    bytes_removed: int = 0
    ended: bool = False


class RetentionSummary(RunSummary):
    """A plan of retention, and what was removed. `processed_total` is the number of rows that this run removed."""

    plan_id: str | None = None
    steps: list[RetentionStepSummary] = Field(default_factory=list)
    unset: list[str] = Field(default_factory=list, description="settings without a retention")


S = TypeVar("S", bound=RunSummary)
_FORM = "%Y-%m-%dT%H:%M:%SZ"


def rfc3339(moment: datetime) -> str:
    """Return the time in UTC with `Z`, in whole seconds: the format of summaries."""
    return moment.astimezone(UTC).strftime(_FORM)


def begin_summary(script: str, now: datetime, kind: type[S], *, dry_run: bool = False) -> S:
    """Return a new summary of class `kind`, with a run id such as 20260210T143001Z-8f1c."""
    run_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return kind(script=script, run_id=run_id, started_at=now.strftime(_FORM), dry_run=dry_run)
