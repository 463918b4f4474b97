"""The mechanisms that keep pauses short and records safe when a worker is replaced, or a broker or a primary fails."""

from tools.mutants.mutant import Edit, Mutant

FAILOVER = "tests/integration/postgres/test_failover.py"
FROZEN = "tests/integration/postgres/test_frozen_database.py"
TABLES = "tests/integration/postgres/test_table_locks.py"
ORDER = "tests/integration/postgres/test_lock_order.py"
BROKERS = "tests/unit/sinks/kafka/test_brokers.py"
REFUSALS = "tests/integration/commands/test_start_refusals.py"
SIZES = "tests/unit/streams/worker/test_batch_size.py"
HINTS = "tests/unit/streams/worker/test_kafka_hints.py"

MUTANTS = [
    Mutant(
        "settings-fault",
        "the rule that a refused connection is a fault of the settings, not of an event",
        (Edit("sinks/postgres/connection.py::connect", "isinstance(translated, RowRejected)", "False"),),
        (f"{REFUSALS}::test_a_connection_that_is_refused_is_no_event_s_fault",),
    ),
    Mutant(
        "refusal-line",
        "the single line of a refusal whose error has several lines",
        (Edit("sinks/refusals.py::refusal", '" ".join(str(error).split())', "str(error)"),),
        (REFUSALS,),
    ),
    Mutant(
        "certificate-named",
        "the name of a certificate file that can't be used",
        (Edit("sinks/postgres/connection.py::connect", "isinstance(error, OSError)", "False"),),
        ("tests/unit/sinks/postgres/test_certificates.py",),
    ),
    Mutant(
        "doctor-connections",
        "the limit on the doctor's connections to Postgres",
        (Edit("bridge/doctor/examine.py::examine", "places if check.connects else nullcontext()", "nullcontext()"),),
        ("tests/unit/doctor/test_examine.py",),
    ),
    Mutant(
        "kafka-hints-again",
        "the second commit of offsets that Kafka did not accept",
        (
            Edit(
                "streams/worker/kafka_hints.py::KafkaHints._commit_pending", "offsets | self._pending", "self._pending"
            ),
        ),
        (f"{HINTS}::test_work_does_not_wait_for_kafka_to_take_offsets",),
    ),
    Mutant(
        "kafka-hints-defect",
        "the end of a lane by a defect of its commit to Kafka",
        (Edit("streams/worker/kafka_hints.py::KafkaHints.commit", "self._committing.result()", ""),),
        (f"{HINTS}::test_a_defect_of_the_commit_to_kafka_ends_the_lane",),
    ),
    Mutant(
        "rebalances-poll",
        "the end of a poll that waits for the group's next assignment",
        (Edit("streams/source/kafka.py::KafkaSource._fetch", "timeout_ms / 1000 + _LATE_SECONDS", "None"),),
        ("tests/unit/streams/source/test_kafka.py::test_a_poll_ends_in_time_while_the_group_rebalances",),
    ),
    Mutant(
        "side-by-side",
        "the parallel attempt at a URL's next host when one does not answer",
        (Edit("sinks/postgres/failover.py::connect_to_one", "STAGGER_SECONDS if left else None", "None"),),
        ("tests/unit/sinks/postgres/test_failover.py",),
    ),
    Mutant(
        "lost-session",
        "the check whether the primary has the session that a lane waits for",
        (Edit("sinks/postgres/connection.py::is_gone", "not has and (...)", "has is None"),),
        (f"{FAILOVER}::test_work_whose_session_is_gone_goes_on_by_another_host",),
    ),
    Mutant(
        "silent-server",
        "the pause of lanes that wait for a server that does not answer",
        (Edit("sinks/postgres/sink.py::PostgresSink._watch", "unanswered >= SILENT_LOOKS", "False"),),
        (f"{FROZEN}::test_a_frozen_database_is_noted_and_the_work_in_flight_ends_once_it_goes_on",),
    ),
    Mutant(
        "silence-seen",
        "the paused partitions of a lane whose database does not answer",
        (Edit("streams/worker/lane.py::Lane.paused", "reason is PauseReason.OUTAGE and self._sink.silent", "False"),),
        ("tests/unit/streams/test_silent_store.py::test_a_lane_that_waits_for_a_silent_store_is_paused",),
    ),
    Mutant(
        "silence-is-not-size",
        "the rule that an unanswered batch of a frozen server is not too large",
        (Edit("sinks/postgres/sink.py::PostgresSink._cut", "None if self.silent else TIMED_OUT", "TIMED_OUT"),),
        (f"{FROZEN}::test_work_that_a_frozen_database_leaves_unanswered_is_not_too_large",),
    ),
    Mutant(
        "short-lock-waits",
        "the end of one try of a statement that locks tables",
        (Edit("sinks/postgres/table_locks.py::waiting_briefly", "await conn.execute(...)", "pass"),),
        (f"{TABLES}::test_the_wait_for_a_table_ends",),
    ),
    Mutant(
        "locks-bounded",
        "the limit on tries of a statement that locks tables",
        (Edit("sinks/postgres/table_locks.py::locking", "time.monotonic() - since + rest > seconds", "False"),),
        (f"{TABLES}::test_the_wait_for_a_table_ends",),
    ),
    Mutant(
        "lock-holder-named",
        "the name of the session that holds a lock",
        (Edit("lock_awaited.sql", "unnest(pg_blocking_pids($1::int))", "unnest(ARRAY[]::int[])"),),
        (f"{TABLES}::test_a_long_query_delays_a_new_month_and_nobody_else",),
    ),
    Mutant(
        "backends-number",
        "the backend's process id, which differs from a pooler's",
        (
            Edit(
                "sinks/postgres/sink.py::PostgresSink._working",
                'await self._opened.fetchval("SELECT pg_backend_pid()")',
                "self._opened.get_server_pid()",
            ),
        ),
        (f"{FAILOVER}::test_a_stopped_workers_lock_is_broken_through_a_pooler",),
    ),
    Mutant(
        "shared-session",
        "the refusal of a pooler that shares sessions",
        (Edit("sinks/postgres/poolers.py::shares_sessions", "first == one.get_server_pid()", "first"),),
        (f"{FAILOVER}::test_a_pooler_in_transaction_mode_is_refused",),
    ),
    Mutant(
        "unnamed-broker",
        "the wait for a single broker that the controller has missed",
        (Edit("sinks/kafka/brokers.py::_named", "time.monotonic() >= deadline", "True"),),
        (BROKERS,),
    ),
    Mutant(
        "any-broker",
        "the next broker in place of one that is away",
        (Edit("sinks/kafka/brokers.py::ask_any_broker", "problem = error", "raise"),),
        (BROKERS,),
    ),
    Mutant(
        "start-asks-again",
        "the second check of a start whose first check found a broker away",
        (Edit("streams/startup_checks.py::_answer", "left <= 0", "left"),),
        ("tests/unit/streams/test_startup_checks.py",),
    ),
    Mutant(
        "read-committed",
        "the rule that a worker does not read aborted transactions",
        (Edit("streams/source/kafka.py::make_consumer", '"read_committed"', '"read_uncommitted"'),),
        ("tests/contract/test_source.py::test_transaction_markers_are_holes",),
    ),
    Mutant(
        "acks",
        "the acknowledgement by all replicas in sync",
        (Edit("sinks/kafka/producer.py::make_producer", '"all"', "1"),),
        ("tests/integration/worker/test_acks.py",),
    ),
    Mutant(
        "producer-ids",
        "the gateway's producer without an id that others can write under",
        (
            Edit(
                "bridge/gateway/publisher.py::Publisher._make",
                "make_producer(...)",
                "make_producer(self._settings, linger_ms=0, request_timeout_ms=_REQUEST_MS, enable_idempotence=True)",
            ),
        ),
        ("tests/integration/gateway/test_producer_ids.py",),
    ),
    Mutant(
        "cancelled-behind-transaction",
        "the records behind an open transaction, which a cancelled replay may have sent",
        (
            Edit(
                "bridge/jobs/cancel.py::_open_again",
                "log_bounds(settings, [settings.topics.raw], past_open_transactions=True)",
                "log_bounds(settings, [settings.topics.raw])",
            ),
        ),
        ("tests/integration/replays/test_replay_crash.py::test_cancelled_while_a_transaction_is_open",),
    ),
    Mutant(
        "swept-behind-transaction",
        "the copies behind an open transaction, which no worker has read yet",
        (
            Edit(
                "sinks/kafka/admin.py::offsets_since",
                "_asking(settings, past_open_transactions=True)",
                "_asking(settings)",
            ),
        ),
        ("tests/integration/worker/test_sweeper.py::test_copies_behind_an_open_transaction_are_not_gone",),
    ),
    Mutant(
        "unclean-election",
        "the refusal of a leader that lacks acknowledged records",
        (Edit("schemas/kafka/topics.py::Topics.specs", '"false"', '"true"'),),
        ("tests/contract/test_snapshots.py",),
    ),
    Mutant(
        "offsets-order",
        "the order in which offset rows are locked",
        (Edit("offsets_lock.sql", "ORDER BY o.topic, o.partition"),),
        (
            f"{ORDER}::test_offset_rows_are_locked_by_topic_and_partition",
            f"{ORDER}::test_the_order_of_offset_rows_is_that_of_the_statement",
        ),
    ),
    Mutant(
        "keys-order",
        "the order in which keys are claimed",
        (Edit("sinks/postgres/transaction.py::_insert_keys", "sorted(claims)", "list(claims)"),),
        (f"{ORDER}::test_keys_are_claimed_in_their_order",),
    ),
    Mutant(
        "early-together",
        "the shared limit on waiting for retry copies that are early",
        (Edit("streams/worker/retry_lane.py::RetryLane._may_wait", "offset > last", "True"),),
        ("tests/unit/streams/worker/test_retry_lane.py::test_forged_tokens_of_the_future_hold_their_partition_once",),
    ),
    Mutant(
        "early-once",
        "the rule that a raw event's copies are waited for once",
        (Edit("streams/worker/retry_lane.py::RetryLane._may_wait", "origin not in self._awaited", "True"),),
        ("tests/unit/streams/worker/test_retry_lane.py::test_forged_tokens_of_the_future_hold_their_partition_once",),
    ),
    Mutant(
        "halving",
        "the smaller batches after a statement time-out",
        (Edit("streams/worker/batch_size.py::BatchSize.halve", "self.records // 2", "self.records"),),
        (f"{SIZES}::test_a_statement_that_timed_out_is_tried_with_half_the_records",),
    ),
    Mutant(
        "halving-commits",
        "the full size of batches after a time-out of another statement than the commit's",
        (Edit("streams/worker/lane.py::Lane._settle_once", "isinstance(error, CommitTimedOut)", "error.sqlstate"),),
        (f"{SIZES}::test_only_a_commit_that_timed_out_makes_batches_smaller",),
    ),
    Mutant(
        "halving-ends",
        "the growth of batches after a time-out, with the commits that follow",
        (Edit("streams/worker/batch_size.py::BatchSize.committed", "2 * self.records", "self.records"),),
        (SIZES,),
    ),
    Mutant(
        "cut-ends",
        "the end in Postgres of a statement whose connection the worker has closed",
        (Edit("sinks/postgres/sink.py::PostgresSink._working", "int(LOOK_SECONDS * 1000)", "0"),),
        ("tests/integration/postgres/test_passing.py::test_what_was_cut_does_not_run_on",),
    ),
]
