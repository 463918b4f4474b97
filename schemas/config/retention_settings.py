"""Settings of retention: for how long rows are kept in Postgres. Nothing is removed that has no retention."""

from pydantic_settings import BaseSettings

from schemas.config.declaring import setting
from schemas.config.duration import Duration


class RetentionSettings(BaseSettings):
    """The part of `Settings` for `bridge retention`. None means that such rows are kept without a limit."""

    keep_ledger: Duration | None = setting(
        None,
        "`bridge retention` removes failed events that were finished (healed, replayed, discarded, duplicates) this long "
        "ago; open and waiting ones stay; proposed: 2160h",
    )
    keep_healed_payloads: Duration | None = setting(
        None, "`bridge retention` blanks payload, key and headers of events that healed this long ago; proposed: 720h"
    )
    keep_minute_windows: Duration | None = setting(
        None, "`bridge retention` adds the counts of minutes up to hours after this time; proposed: 840h"
    )
    keep_hour_windows: Duration | None = setting(
        None, "`bridge retention` adds the counts of hours up to days after this time; proposed: 9600h"
    )
    keep_keys: Duration | None = setting(
        None,
        "`bridge retention` removes keys that detect duplicates after this time, if their event's month is not stored; "
        "proposed: 1080h",
    )
    keep_runs: Duration | None = setting(
        None, "`bridge retention` removes runs from the history this long after their end; proposed: 4320h"
    )
    keep_events: Duration | None = setting(
        None,
        "`bridge retention` removes the events of months that ended this long ago, if `bridge archive` has archived and verified "
        "them; none is proposed",
    )
    retention_batch_rows: int = setting(
        5000, "most rows that one transaction of `bridge retention` removes", ge=1, le=100_000
    )
    retention_max_lag: int = setting(
        20_000, "`bridge retention apply` waits while more records of the raw topic are unread; 0: it never waits", ge=0
    )
