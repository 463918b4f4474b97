"""The mechanisms of an exact commit: offsets, keys, the ledger, windows, retries, lanes."""

from tools.mutants.mutant import Edit, Mutant

CONTRACT = "tests/contract"
FENCING = "tests/integration/worker/test_fencing.py"
LANE = "tests/unit/streams/worker/test_lane.py"
POISON = "tests/integration/worker/test_poison.py"
OWNER = "tests/unit/streams/worker/paused/test_pauses.py"
RETRY_LANE = "tests/unit/streams/worker/test_retry_lane.py"
SETTLING = f"{CONTRACT}/test_sink.py"
CONTESTED = "tests/integration/postgres/test_contested_keys.py"
SWEEPER = "tests/integration/worker/test_sweeper.py"

MUTANTS = [
    Mutant(
        "offset-lock",
        "the lock on the offset rows",
        (Edit("offsets_lock.sql", "FOR UPDATE OF o"),),
        (f"{FENCING}::test_two_first_owners_write_a_batch_once",),
    ),
    Mutant(
        "offset-guard",
        "the check, under the lock, that the batch continues the stored offset",
        (Edit("sinks/postgres/transaction.py::_lock_offsets", "check_offsets(...)", "assert rows is not None"),),
        (
            f"{SETTLING}::test_of_two_owners_only_one_settles_a_batch",
            f"{FENCING}::test_an_owner_that_wakes_up_late_is_refused",
        ),
    ),
    Mutant(
        "first-row",
        "the refusal of a partition that has no offset row yet",
        (
            Edit(
                "sinks/commit_rules.py::check_offsets",
                "found != batch.prev",
                "found is not None and found != batch.prev",
            ),
        ),
        (f"{SETTLING}::test_a_missing_offset_row_is_a_refusal", "tests/unit/sinks/test_commit_rules.py"),
    ),
    Mutant(
        "chain",
        "the chain: after a fetch that raised, partitions are read from the client's position",
        (
            Edit(
                "streams/source/kafka.py::KafkaSource._fetch",
                "source in self._chain and await self._consumer.position(partition) != self._chain[source]",
                "source not in self._chain",
            ),
            Edit(
                "streams/source/kafka.py::KafkaSource._seek_all",
                "source in self._chain and partition in assigned",
                "source not in self._chain",
            ),
        ),
        ("tests/unit/streams/source/test_kafka.py",),
    ),
    Mutant(
        "key-table",
        "the key table's decision on duplicates",
        (
            Edit("keys_holders.sql", "WHERE event_key = ANY", "WHERE event_key <> ALL"),
            Edit("keys_claim.sql", "WHERE (SELECT count(*) FROM claimed) <", "WHERE length($1::bytea) <"),
        ),
        (f"{SETTLING}::test_a_duplicate_in_a_later_batch_or_partition_loses",),
    ),
    Mutant(
        "contested-keys",
        "the repetition of a commit whose keys another lane has inserted meanwhile",
        (
            Edit(
                "sinks/postgres/sink.py::PostgresSink.commit", "error.constraint_name != KEYS", "error.constraint_name"
            ),
        ),
        (f"{CONTESTED}::test_an_event_whose_key_another_lane_inserts_meanwhile_is_a_duplicate",),
    ),
    Mutant(
        "contested-duplicates",
        "the decision on duplicates while other lanes insert the same keys",
        (Edit("keys_claim.sql", "WHERE (SELECT count(*) FROM claimed) <", "WHERE length($1::bytea) <"),),
        (f"{CONTESTED}::test_an_event_whose_key_another_lane_inserts_meanwhile_is_a_duplicate",),
    ),
    Mutant(
        "contested-for-a-while",
        "that a lane expects other lanes to insert its keys for a while after one did",
        (
            Edit(
                "sinks/postgres/sink.py::PostgresSink.commit",
                "self._contested_until = time.monotonic() + CONTESTED_SECONDS",
                "self._contested_until = 0.0",
            ),
        ),
        (f"{CONTESTED}::test_after_a_contested_key_the_lane_commits_at_the_first_try",),
    ),
    Mutant(
        "token",
        "the attempt in a retry's token",
        (Edit("schemas/pipeline/ledger.py::LedgerState.awaits", "attempt == self.retry_count + 1", "True"),),
        (f"{CONTRACT}/test_sink_ledger.py::test_a_wrong_token_moves_the_offset_and_nothing_else",),
    ),
    Mutant(
        "token-under-lock",
        "the second check of the token, under the ledger's lock",
        (Edit("sinks/postgres/transaction.py::_lock_ledger", "check_tokens(...)", "assert states is not None"),),
        (f"{CONTRACT}/test_sink_ledger.py::test_a_token_that_was_used_since_it_was_judged_is_refused",),
    ),
    Mutant(
        "ledgers-body",
        "the ledger's copy of a waiting body: a retry is judged by its record instead",
        (Edit("streams/pipeline/processor.py::_carried", "body is None", "body is None or record"),),
        ("tests/unit/streams/pipeline/test_processor.py::test_a_forged_retry_record_cannot_change_what_is_tried",),
    ),
    Mutant(
        "publish-before-commit",
        "the order: records are published only after Postgres has committed",
        (
            Edit("streams/worker/committer.py::BatchCommitter.settle", "self._publisher.publish(...)"),
            Edit(
                "streams/worker/committer.py::BatchCommitter.settle",
                "committed = await self._sink.commit(outcomes)",
                "committed = await self._sink.commit(outcomes)\n"
                "await self._publisher.publish([one for each in outcomes for one in each.failures])",
            ),
        ),
        (f"{LANE}::test_an_outage_is_waited_out_in_place_and_in_order",),
    ),
    Mutant(
        "winner-after-guard",
        "the choice of the first valid copy after bisecting: a refused row's sound copies are refused with it",
        (
            Edit("streams/worker/committer.py::_drop", "id(one.candidate)", "one.candidate.key"),
            Edit("streams/worker/committer.py::_drop", "id(candidate)", "candidate.key"),
        ),
        (f"{SETTLING}::test_the_copy_of_a_refused_first_still_counts",),
    ),
    Mutant(
        "bisecting",
        "the search for the refused row: the first row of a refused batch is blamed",
        (Edit("sinks/postgres/sink.py::PostgresSink._halve", "len(candidates) == 1", "candidates"),),
        (f"{SETTLING}::test_bisecting_finds_exactly_the_bad_rows",),
    ),
    Mutant(
        "hint-clearing",
        "the clearing of a lane's cache of persisted keys",
        (Edit("streams/pipeline/dedup_key.py::DedupHints.clear", "self._young.clear()\nself._old.clear()", "return"),),
        (f"{LANE}::test_an_idle_lane_follows_offsets_that_moved", "tests/unit/streams/pipeline/test_dedup_key.py"),
    ),
    Mutant(
        "loss",
        "the record of unread offsets that retention deleted",
        (
            Edit(
                "offsets_lose.sql",
                "lost = saturated(lost::numeric + $4::bigint - next_offset), next_offset = $4",
                "next_offset = $4",
            ),
        ),
        (f"{SETTLING}::test_lose_records_the_gap_once",),
    ),
    Mutant(
        "log-mark",
        "the comparison of a log's record with the last committed one",
        (Edit("streams/source/log_identity.py::_compare", "bool(batch.records) and ...", "mark is not None"),),
        (f"{LANE}::test_a_foreign_log_holds_its_partition_until_it_is_adopted",),
    ),
    Mutant(
        "log-end",
        "the check whether a log ends before the offset that was read",
        (Edit("schemas/pipeline/log_identity.py::foreign", "end < known.next_offset", "end < 0"),),
        ("tests/unit/schemas/pipeline/test_log_identity.py",),
    ),
    Mutant(
        "sweeper",
        "the retry reaper",
        (Edit("streams/faust_host/app.py::create_app", "_add_sweeper(...)"),),
        (f"{SWEEPER}::test_a_worker_sweeps_by_itself",),
    ),
    Mutant(
        "sweepers-patience",
        "the proof that a copy is gone: every overdue retry is republished",
        (
            Edit(
                "streams/worker/retry_reaper.py::_read_up_to",
                "stored is not None and stored.held is None and stored.next_offset >= offset",
                "offset >= 0",
            ),
        ),
        (f"{SWEEPER}::test_copies_that_are_gone_are_published_again",),
    ),
    Mutant(
        "stalled-session",
        "the end of a stalled worker's session",
        (Edit("end_blockers.sql", "pid = ANY", "pid <> ALL"),),
        (f"{FENCING}::test_a_stopped_workers_lock_is_broken",),
    ),
    Mutant(
        "strangers-session",
        "the protection of sessions that are not a worker's",
        (Edit("end_blockers.sql", "starts_with(application_name, $2::text)", "$2::text <> ''"),),
        (f"{FENCING}::test_a_strangers_lock_is_left_alone",),
    ),
    Mutant(
        "missing-partition",
        "the rule that a violated check without a name is a missing month's partition, not a fault of the event",
        (Edit("sinks/postgres/errors.py::_is_row", "bool(constraint)", "True"),),
        ("tests/unit/sinks/postgres/test_errors.py",),
    ),
    Mutant(
        "pause-in-place",
        "the pause while a service is away",
        (Edit("streams/worker/lane.py::Lane._wait_in_place", "self._pauses.replace(...)"),),
        (f"{LANE}::test_an_outage_is_waited_out_in_place_and_in_order",),
    ),
    Mutant(
        "last-reason",
        "the rule that a partition is read again only when its last reason for a pause has ended",
        (Edit("streams/worker/paused/pauses.py::Pauses._change", "self.unpaused(ended)", "[*ended]"),),
        (f"{OWNER}::test_a_partition_is_read_again_when_its_last_reason_has_ended",),
    ),
    Mutant(
        "paused-counted",
        "the count of the paused partitions of a worker's lanes",
        (Edit("streams/worker/lanes.py::Lanes._paused", "sum(...)", "0"),),
        (f"{OWNER}::test_the_gauge_counts_the_partitions_of_running_lanes",),
    ),
    Mutant(
        "never-early",
        "the wait until a retry is due",
        (Edit("streams/worker/retry_lane.py::RetryLane._wait_seconds", "round(1.1 * delay_ms)", "0"),),
        (f"{RETRY_LANE}::test_each_retry_waits_for_its_delay_and_no_longer",),
    ),
    Mutant(
        "ledger-row-to-come",
        "the wait of a retry copy for its ledger row",
        (
            Edit(
                "streams/worker/retry_lane.py::_Found.still_to_come",
                "self.stored[source] <= provenance.offset < self.ends.get(source, 0)",
                "False",
            ),
        ),
        (f"{RETRY_LANE}::test_a_retry_waits_for_its_ledger_row",),
    ),
    Mutant(
        "brake",
        "the circuit breaker",
        (Edit("streams/worker/committer.py::BatchCommitter._check_brake", "cause is None", "cause is None or cause"),),
        ("tests/unit/streams/worker/paused/test_breaker.py::test_a_storm_is_held_before_it_is_published",),
    ),
    Mutant(
        "brakes-vote",
        "the rule that one site alone can't stop the others",
        (
            Edit("streams/rules/breaker_votes.py::nearly_all", "bad_others * 100 < ratio_pct * others", "False"),
            Edit("streams/rules/breaker_votes.py::nearly_all", "2 * failing > len(owners)", "True"),
        ),
        ("tests/unit/streams/rules/test_breaker.py",),
    ),
    Mutant(
        "whole-letters",
        "the raw record's own headers in its dead letter",
        (Edit("sinks/kafka/publisher.py::copy_headers", "original_headers(failure)", "[]"),),
        ("tests/unit/sinks/kafka/test_publisher.py", f"{SETTLING}::test_headers_and_null_bodies_are_kept"),
    ),
    Mutant(
        "windows",
        "the gate windows in the committing transaction",
        (Edit("sinks/postgres/transaction.py::settle_in_transaction", "add_to_windows(...)"),),
        (f"{SETTLING}::test_windows_and_totals_sum_up",),
    ),
    Mutant(
        "replays-claim",
        "the single use of a replay's claim",
        (
            Edit("schemas/pipeline/ledger.py::LedgerState.claimed_by", "self.replayed_as is None", "True"),
            Edit("sinks/commit_rules.py::replays", "one.number == 1", "not one.number"),
        ),
        (f"{CONTRACT}/test_sink_replay.py::test_a_claimed_replay_is_honoured_once",),
    ),
    Mutant(
        "producers-time",
        "the bounds of a producer's own record time",
        (Edit("streams/pipeline/processor.py::_record_time", "min(max(timestamp, ...), ...)", "timestamp"),),
        ("tests/unit/streams/pipeline/test_processor.py::test_a_producers_time_is_held_near_now_and_counted",),
    ),
    Mutant(
        "unreadable",
        "the pause of a partition whose next record can't be read",
        (
            Edit(
                "streams/source/kafka.py::KafkaSource.poll",
                "batches = await self._find_unreadable(...)",
                'raise SourceUnavailable("unreadable")',
            ),
        ),
        ("tests/unit/streams/source/test_kafka.py",),
    ),
    Mutant(
        "skip-batch-end",
        "the end of the batch that an operator skips",
        (Edit("jobs/skip.py::_passable", "Skipped(..., await ..., why)", "Skipped(one.log, offset, one.end, why)"),),
        (f"{POISON}::test_an_operator_skips_a_batch_at_once",),
    ),
    Mutant(
        "inflation",
        "the limit on the inflated size of a batch",
        (Edit("aiokafka_patches/codecs.py::bound_inflation", "most_bytes", "2**31"),),
        ("tests/unit/sinks/kafka/aiokafka_patches/test_codecs.py",),
    ),
    Mutant(
        "headers-bound",
        "the limit on a record's headers",
        (Edit("aiokafka_patches/many_headers.py::cut_headers", "stated > MOST_HEADERS", "False"),),
        ("tests/unit/sinks/kafka/aiokafka_patches/test_codecs.py",),
    ),
    Mutant(
        "headers-at-once",
        "the limit on the headers of one read",
        (Edit("aiokafka_patches/reads.py::_has_enough_headers", "read.headers > _HEADERS_AT_ONCE", "False"),),
        (
            "tests/unit/sinks/kafka/aiokafka_patches/test_codecs.py::test_headers_of_one_read_are_bounded_whatever_the_batch",
        ),
    ),
    Mutant(
        "gzip-members",
        "the limit on a batch's gzip members",
        (Edit("aiokafka_patches/codecs.py::_gzip", "range(_MOST_MEMBERS)", "range(10**6)"),),
        ("tests/unit/sinks/kafka/aiokafka_patches/test_codecs.py",),
    ),
    Mutant(
        "snappy-blocks",
        "the limit on a batch's snappy blocks",
        (Edit("aiokafka_patches/codecs.py::_snappy", "len(parts) == blocks", "len(parts) < 0"),),
        ("tests/unit/sinks/kafka/aiokafka_patches/test_codecs.py",),
    ),
    Mutant(
        "log-limit",
        "the limit on equal log lines",
        (Edit("telemetry/log_limit.py::LimitedHandler.emit", "minute.written >= MOST_A_MINUTE", "minute.written < 0"),),
        ("tests/unit/telemetry/test_log_limit.py",),
    ),
    Mutant(
        "masking",
        "the redaction of logs and of errors that are sent to Sentry",
        (Edit("telemetry/logging.py::configure_logs", "mask", "*()"),),
        ("tests/unit/telemetry/test_error_reports.py::test_no_secret_leaves", "tests/unit/telemetry/test_logging.py"),
    ),
    Mutant(
        "masking-within",
        "the search for secret names within a value that looks like a secret",
        (Edit("telemetry/redaction.py::_told", "following > covered", "begin >= covered"),),
        ("tests/property/test_masking.py",),
    ),
    Mutant(
        "named-series",
        "the limit on sites and scripts with their own series",
        (Edit("telemetry/metric_kinds.py::FirstComers.label", "len(self._own) >= self._most", "len(self._own) < 0"),),
        ("tests/unit/test_cardinality.py",),
    ),
    Mutant(
        "kafka-told",
        "the commit of offsets to Kafka",
        (
            Edit(
                "streams/worker/kafka_hints.py::KafkaHints._commit_pending",
                "await self._source.commit(offsets)",
                "True",
            ),
        ),
        (f"{LANE}::test_events_are_settled_and_kafka_is_told",),
    ),
    Mutant(
        "loopback-guard",
        "the refusal of local addresses in production",
        (Edit("schemas/config/production.py::_loopback", "is_local(one)", "not one"),),
        ("tests/unit/schemas/config/test_production.py",),
    ),
]
