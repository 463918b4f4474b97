"""The audit: a check that every offset of the raw topic has an outcome, such as a stored, dropped or waiting event.

The audit reads one snapshot of Postgres, then Kafka's end offsets.
"""

from schemas.config.settings import Settings
from schemas.documents.audit_report import AuditReport
from schemas.pipeline.record import topic_of
from sinks.kafka.admin import log_bounds
from sinks.postgres.audit.snapshot import read_snapshot
from streams.rules.audit import judge


async def audit(settings: Settings, *, deep: bool = True) -> AuditReport:
    """Return the audit's report. A deep audit counts the stored rows, a quick one reads the totals that commits keep.

    Workers may commit during an audit. Kafka's end offsets are read after the snapshot of Postgres, so an end offset is
    never less than the stored offset of its partition. Raises PreconditionFailed when Kafka or Postgres is away, or
    when the database schema is missing.
    """
    snapshot = await read_snapshot(settings, deep=deep)
    topics = settings.topics
    bounds = await log_bounds(
        settings, [topics.raw, *topics.retries, *(topic_of(one.topic) for one in snapshot.offsets)]
    )
    return judge(snapshot, bounds, topics)
