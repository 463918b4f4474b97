"""Each mechanism that a guarantee stands on, how it is taken out, and the tests that notice."""

from mutants import operators, producers, snippet
from mutants.mutant import Mutant

CONTRACT = "tests/contract"
FENCING = "tests/integration/test_fencing.py"
LANE = "tests/unit/streams/test_lane.py"
RETRY_LANE = "tests/unit/streams/test_retry_lane.py"
SETTLING = f"{CONTRACT}/test_sink.py"
SWEEPER = "tests/integration/test_sweeper.py"

MUTANTS = [
    Mutant(
        "offset-lock",
        "the lock on the offset rows",
        (("\nFOR UPDATE OF o\n", "\n"),),
        (f"{FENCING}::test_two_first_owners_write_a_batch_once",),
    ),
    Mutant(
        "offset-guard",
        "the look, under the lock, whether the batch continues the stored offset",
        (
            (
                (
                    'check_offsets({TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}, '
                    "outcomes)"
                ),
                "assert rows is not None",
            ),
        ),
        (
            f"{SETTLING}::test_of_two_owners_only_one_settles_a_batch",
            f"{FENCING}::test_an_owner_that_wakes_up_late_is_refused",
        ),
    ),
    Mutant(
        "first-row",
        "the refusal of a partition that has no offset row yet",
        (("        if found != batch.prev:\n", "        if found is not None and found != batch.prev:\n"),),
        (f"{SETTLING}::test_a_missing_offset_row_is_a_refusal", "tests/unit/sinks/test_resolve.py"),
    ),
    Mutant(
        "chain",
        "the chain: after a fetch that raised, partitions are read on where the client stands",
        (
            (
                "if source in self._chain and await self._consumer.position(partition) != self._chain[source]:",
                "if source not in self._chain:",
            ),
            ("if source in self._chain and partition in assigned:", "if source not in self._chain:"),
        ),
        ("tests/unit/streams/test_source.py",),
    ),
    Mutant(
        "key-table",
        "the key table's word on what is a duplicate",
        (
            (
                "SELECT event_key FROM offered WHERE event_key NOT IN (SELECT event_key FROM claimed)",
                "SELECT event_key FROM offered WHERE false",
            ),
        ),
        (f"{SETTLING}::test_a_duplicate_in_a_later_batch_or_partition_loses",),
    ),
    Mutant(
        "token",
        "the attempt in a retry's token",
        (("return not self.finished and attempt == self.retry_count + 1", "return not self.finished"),),
        (f"{CONTRACT}/test_sink_ledger.py::test_a_wrong_token_moves_the_offset_and_nothing_else",),
    ),
    Mutant(
        "token-under-lock",
        "the second look at the token, under the ledger's lock",
        (("    check_tokens(states, touched, replayed)\n", "    assert states is not None\n"),),
        (f"{CONTRACT}/test_sink_ledger.py::test_a_token_that_was_used_since_it_was_judged_is_refused",),
    ),
    Mutant(
        "ledgers-body",
        "the ledger's body of what waits: a retry is judged by what its record says",
        (("    if body is None:\n        return record\n", "    if body is None or record:\n        return record\n"),),
        ("tests/unit/streams/test_processor.py::test_a_forged_retry_record_cannot_change_what_is_tried",),
    ),
    Mutant(
        "publish-before-commit",
        "the order: what is to be published is published once Postgres has committed",
        (
            (
                "await self._publisher.publish([failure for one in outcomes for failure in one.failures])\n",
                "pass\n",
            ),
            (
                "                    return await self._sink.commit(outcomes)\n",
                (
                    "                    committed = await self._sink.commit(outcomes)\n"
                    "                    await self._publisher.publish([one for each in outcomes for one in each.failures])\n"
                    "                    return committed\n"
                ),
            ),
        ),
        (f"{LANE}::test_an_outage_is_waited_out_in_place_and_in_order",),
    ),
    Mutant(
        "winner-after-guard",
        "the choice of the winner after bisecting: a refused row takes its sound copies along",
        (
            (
                "refused = {id(one.candidate): one.error for one in found}",
                "refused = {one.candidate.key: one.error for one in found}",
            ),
            ("error = refused.get(id(candidate))", "error = refused.get(candidate.key)"),
        ),
        (f"{SETTLING}::test_the_copy_of_a_refused_first_still_counts",),
    ),
    Mutant(
        "bisecting",
        "the search for the refused row: the first of a refused batch is blamed",
        (("            if len(candidates) == 1:\n", "            if candidates:\n"),),
        (f"{SETTLING}::test_bisecting_finds_exactly_the_bad_rows",),
    ),
    Mutant(
        "hint-clearing",
        "the clearing of what a lane remembers as persisted",
        (("        self._young.clear()\n        self._old.clear()\n", "        return\n"),),
        (f"{LANE}::test_an_idle_lane_follows_offsets_that_moved", "tests/unit/streams/test_dedup.py"),
    ),
    Mutant(
        "hints-after-commit",
        "the rule that hints are filled after a commit only",
        (
            (
                "        else:\n            outcomes.candidates.append(candidate)\n",
                (
                    "        else:\n            outcomes.candidates.append(candidate)\n"
                    "            context.known.add([candidate.key])\n"
                ),
            ),
        ),
        (f"{LANE}::test_a_sound_copy_of_a_refused_event_counts",),
    ),
    Mutant(
        "stands",
        "the look whether all of a lane's partitions stand where it left them",
        (("                check_stands(stored, stands)\n", ""),),
        (f"{LANE}::test_a_busy_lane_follows_a_partition_that_moved",),
    ),
    Mutant(
        "idle-look",
        "an idle lane's look at its offsets",
        (("        if stored != self._stands:\n", "        if not self._stands:\n"),),
        (f"{LANE}::test_an_idle_lane_follows_offsets_that_moved",),
    ),
    Mutant(
        "loss",
        "the record of what retention deleted unread",
        (("SET lost = lost + ($4::bigint - next_offset), next_offset = $4", "SET next_offset = $4"),),
        (f"{SETTLING}::test_lose_records_the_gap_once",),
    ),
    Mutant(
        "log-mark",
        "the comparison of a log's record with the one that was settled last",
        (("same = bool(batch.records) and mark_of(batch.records[0]) == mark", "same = mark is not None"),),
        (f"{LANE}::test_a_foreign_log_holds_its_partition_until_it_is_adopted",),
    ),
    Mutant(
        "log-end",
        "the look whether a log is shorter than what was read of it",
        (("    if end < known.next_offset:\n", "    if end < 0:\n"),),
        ("tests/unit/schemas/test_log_identity.py",),
    ),
    Mutant(
        "sweeper",
        "the sweeper",
        (("    _add_sweeper(app, settings)\n", ""),),
        (f"{SWEEPER}::test_a_worker_sweeps_by_itself",),
    ),
    Mutant(
        "sweepers-patience",
        "the proof that a copy is gone: what is overdue is published again",
        (
            (
                "    return stored is not None and stored.held is None and stored.next_offset >= offset\n",
                "    return offset >= 0\n",
            ),
        ),
        (f"{SWEEPER}::test_copies_that_are_gone_are_published_again",),
    ),
    Mutant(
        "stalled-session",
        "the end of a stalled worker's session",
        (("WHERE pid = ANY (pg_blocking_pids($1::int)) AND", "WHERE pid <> ALL (pg_blocking_pids($1::int)) AND"),),
        (f"{FENCING}::test_a_stopped_workers_lock_is_broken",),
    ),
    Mutant(
        "strangers-session",
        "the care for sessions that are not a worker's",
        (("AND starts_with(application_name, $2::text)", "AND $2::text <> ''"),),
        (f"{FENCING}::test_a_strangers_lock_is_left_alone",),
    ),
    Mutant(
        "missing-partition",
        "the rule that a check without a name is a missing month's partition, which is nobody's poison",
        (('    return sqlstate == "23514" and bool(constraint)\n', '    return sqlstate == "23514"\n'),),
        ("tests/unit/sinks/test_sqlstate.py",),
    ),
    Mutant(
        "pause-in-place",
        "the pause while a service is away",
        (
            (
                "        metrics.PAUSED.labels(self.name).set(len(self.sources))\n        self._source.pause(self.sources)\n",
                "        metrics.PAUSED.labels(self.name).set(len(self.sources))\n",
            ),
        ),
        (f"{LANE}::test_an_outage_is_waited_out_in_place_and_in_order",),
    ),
    Mutant(
        "never-early",
        "the wait until a retry is due",
        (("wait = min(due - now_ms, round(1.1 * delay_ms)) / 1000", "wait = min(due - now_ms, 0) / 1000"),),
        (f"{RETRY_LANE}::test_each_retry_waits_for_its_delay_and_no_longer",),
    ),
    Mutant(
        "ledger-row-to-come",
        "the wait of a retry copy for its ledger row",
        (
            (
                "        return self.stored[source] <= provenance.offset < self.ends.get(source, 0)\n",
                "        return False\n",
            ),
        ),
        (f"{RETRY_LANE}::test_a_retry_waits_for_its_ledger_row",),
    ),
    Mutant(
        "halving",
        "the smaller batches after a statement that timed out",
        (
            (
                "error.sqlstate == TIMED_OUT and self._max_records > 1",
                "error.sqlstate == TIMED_OUT and not self._max_records",
            ),
        ),
        (f"{LANE}::test_a_statement_that_timed_out_is_tried_with_half_the_records",),
    ),
    Mutant(
        "brake",
        "the brake",
        (
            (
                "            if cause is None:\n                return\n",
                "            if cause is None or cause:\n                return\n",
            ),
        ),
        ("tests/unit/streams/test_brake_hold.py::test_a_storm_is_held_before_it_is_published",),
    ),
    Mutant(
        "brakes-vote",
        "the rule that one site alone can't stop the others",
        (("    return not others or bad_others * 100 >= ratio_pct * others\n", "    return others >= 0\n"),),
        ("tests/unit/schemas/test_brake.py",),
    ),
    Mutant(
        "whole-letters",
        "the raw record's own headers in its dead letter",
        (
            (
                "    return original_headers(failure) + [(name, text.encode()) for name, text in own.items()]\n",
                "    return [(name, text.encode()) for name, text in own.items()]\n",
            ),
        ),
        ("tests/unit/sinks/test_kafka.py", f"{SETTLING}::test_headers_and_null_bodies_are_kept"),
    ),
    Mutant(
        "windows",
        "the gate windows in the settling transaction",
        (("    await _add_windows(connection, windows)\n", ""),),
        (f"{SETTLING}::test_windows_and_totals_sum_up",),
    ),
    Mutant(
        "replays-claim",
        "the single use of a replay's claim",
        (
            (" and self.replay_id == replay_id and self.replayed_as is None", " and self.replay_id == replay_id"),
            (
                "            if candidate.replay is not None and candidate.event.attempt == 1:\n",
                "            if candidate.replay is not None and not candidate.event.attempt:\n",
            ),
        ),
        (f"{CONTRACT}/test_sink_replay.py::test_a_claimed_replay_is_honoured_once",),
    ),
    Mutant(
        "producers-time",
        "the bounds of a producer's own record time",
        (
            (
                "    held = min(max(timestamp, context.now_ms - _CLAMP_PAST_MS), context.now_ms + _CLAMP_FUTURE_MS)\n",
                "    held = timestamp\n",
            ),
        ),
        ("tests/unit/streams/test_processor.py::test_a_producers_time_is_held_near_now_and_counted",),
    ),
    Mutant(
        "unreadable",
        "the hold of a partition whose next record can't be read",
        (
            (
                "        except NOT_READABLE:\n            batches = await self._find_unreadable(readable, at_once)\n",
                "        except NOT_READABLE as error:\n            raise SourceUnavailable(str(error)) from error\n",
            ),
        ),
        ("tests/unit/streams/test_source.py",),
    ),
    Mutant(
        "inflation",
        "the bound of what a batch inflates to",
        (("    bounded = _bounded(most_bytes)\n", "    bounded = _bounded(2**31)\n"),),
        ("tests/unit/sinks/test_kafka_codecs.py",),
    ),
    Mutant(
        "log-limit",
        "the limit of equal log lines",
        (("            if minute.written >= MOST_A_MINUTE:\n", "            if minute.written < 0:\n"),),
        ("tests/unit/streams/test_log_limit.py",),
    ),
    Mutant(
        "masking",
        "the masking of what is logged, and of the errors that are told to Sentry",
        (("                mask,\n", ""),),
        ("tests/unit/streams/test_reports.py::test_no_secret_leaves", "tests/unit/streams/test_logs.py"),
    ),
    Mutant(
        "masking-within",
        "the look for what tells of a secret in what seems to be one",
        (("        if following > covered and (found", "        if begin >= covered and (found"),),
        ("tests/property/test_masking.py",),
    ),
    Mutant(
        "named-series",
        "the bound of how many sites and scripts have series of their own",
        (("            if len(self._own) >= self._most:\n", "            if len(self._own) < 0:\n"),),
        ("tests/unit/test_cardinality.py",),
    ),
    Mutant(
        "kafka-told",
        "the word to Kafka of how far was read",
        (("        if self._untold and await self._source.commit(self._untold):\n", "        if not self._untold:\n"),),
        (f"{LANE}::test_events_are_settled_and_kafka_is_told",),
    ),
    Mutant(
        "loopback-guard",
        "the refusal of local addresses in production",
        (("for one in hosts if is_local(one)})", "for one in hosts if not one})"),),
        ("tests/unit/schemas/test_production.py",),
    ),
    *snippet.MUTANTS,
    *producers.MUTANTS,
    *operators.MUTANTS,
]
