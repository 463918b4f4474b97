"""The mechanisms by which a full gateway frees bytes for senders that hold few."""

from tools.mutants.mutant import Edit, Mutant

SHARES = "tests/unit/gateway/admission/test_shares.py"

MUTANTS = [
    Mutant(
        "gateway-overloaded-only-if-full",
        "the refusal of a sender that uses much for its use, not for the process's",
        (
            Edit(
                "bridge/http/byte_budget.py::ByteBudget._make_room",
                "name is None and bound == most",
                "name is None",
            ),
        ),
        ("tests/unit/gateway/admission/test_shares.py::test_only_a_full_process_is_overloaded",),
    ),
    Mutant(
        "gateway-places-of-bodies",
        "the rule that a request without its complete body holds no place",
        (Edit("bridge/gateway/routes/events.py::receive_events.arrived", "not message.get('more_body')", "True"),),
        (f"{SHARES}::test_share_of_requests_is_not_held_by_bodies_that_are_waited_for",),
    ),
    Mutant(
        "gateway-bytes-give-way",
        "the end of an incomplete body in favour of a sender that holds less",
        (Edit("bridge/http/body.py::BodyLimits._next", "held.waits(partial(_end, limit, began))", ""),),
        (f"{SHARES}::test_share_of_bytes_full_of_waited_for_bodies_has_room_for_others",),
    ),
    Mutant(
        "gateway-answers-give-way",
        "the end of an unread answer in favour of a sender that holds less",
        (Edit("bridge/gateway/routes/events.py::hold_until_sent", "held.waits(close)", "close"),),
        (f"{SHARES}::test_share_of_bytes_full_of_unread_answers_has_room_for_others",),
    ),
    Mutant(
        "gateway-gives-way-to-less",
        "the rule that a sender's request is ended only in favour of one that holds less",
        (Edit("bridge/http/byte_budget.py::ByteBudget._one_gave_way", "self._held.get(largest, 0) <= own", "False"),),
        (f"{SHARES}::test_longest_wait_of_who_holds_most_gives_way",),
    ),
    Mutant(
        "gateway-gave-way",
        "the refusal of further bytes of a body that was ended",
        (Edit("bridge/http/byte_budget.py::Held.grow_to", "self.gave_way", "False"),),
        (f"{SHARES}::test_what_gave_way_takes_nothing_more",),
    ),
    Mutant(
        "gateway-last-quarter",
        "the last quarter of a share for senders that hold almost nothing of it",
        (Edit("bridge/http/byte_budget.py::ByteBudget._make_room", "own > max(1, most * _LITTLE)", "False"),),
        (f"{SHARES}::test_last_of_a_share_is_for_senders_that_hold_next_to_nothing",),
    ),
    Mutant(
        "gateway-organisation",
        "the one share of an organisation's scripts",
        (Edit("bridge/gateway/admission/shares.py::shares_of", "org_id is None", "True"),),
        (f"{SHARES}::test_shares_of_an_organisations_scripts_are_one_share",),
    ),
    Mutant(
        "gateway-bodies-give-way",
        "the closing of a connection whose body does not arrive, in favour of others",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._take_place", "self._in_body", "False"),),
        ("tests/integration/gateway/test_shares.py::test_under_pressure_idle_connections_give_way",),
    ),
    Mutant(
        "gateway-own-queue",
        "the 429 of a sender whose events wait behind its own events",
        (Edit("bridge/gateway/delivery.py::Delivery.waited_in_queue", "self.queued > 0", "False"),),
        (
            "tests/unit/gateway/admission/test_shares.py::test_a_queue_full_of_the_senders_events_is_no_error_of_the_gateway",
        ),
    ),
    Mutant(
        "gateway-young-batch",
        "the 429 of a sender whose events left its own queue a moment before",
        (Edit("bridge/gateway/publisher.py::_Batch.append", "delivery.batched_at = self.sent_at", ""),),
        ("tests/unit/gateway/test_publisher.py::test_a_delivery_knows_how_long_it_waited_in_a_queue",),
    ),
    Mutant(
        "gateway-behind",
        "the 503 of a server whose events wait behind others' events",
        (Edit("bridge/gateway/routes/events.py::_unacknowledged", "publisher.is_behind(delivery.sender[:2])", "True"),),
        (
            "tests/unit/gateway/admission/test_shares.py::test_a_queue_full_of_the_senders_events_is_no_error_of_the_gateway",
        ),
    ),
    Mutant(
        "gateway-behind-others",
        "the count of only the sender's own records when its queue is compared with a batch",
        (
            Edit(
                "bridge/gateway/publisher.py::_Partition.is_filled_by",
                "self.waiting.waiting_of(names)",
                "self.waiting.waiting_of(())",
            ),
        ),
        (
            "tests/unit/gateway/test_publisher.py::test_a_sender_is_behind_when_its_records_of_one_partition_fill_a_batch",
        ),
    ),
    Mutant(
        "gateway-last-id",
        "the reading of the last id of an event with several",
        (Edit("bridge/gateway/elements.py::_last_identity", "_event_id(given) or None", "None"),),
        ("tests/unit/gateway/test_identify.py::test_an_event_without_an_id_gets_one",),
    ),
    Mutant(
        "gateway-kafka-stuck",
        "the 503 while Kafka does not acknowledge",
        (Edit("bridge/gateway/routes/events.py::_unacknowledged", "not publisher.stuck", "True"),),
        (
            "tests/unit/gateway/admission/test_shares.py::test_a_queue_full_of_the_senders_events_is_no_error_of_the_gateway",
        ),
    ),
    Mutant(
        "gateway-queued",
        "the count of a request's records that wait for their partition",
        (Edit("bridge/gateway/publisher.py::_Batch.append", "delivery.queued -= 1", ""),),
        ("tests/unit/gateway/test_publisher.py::test_a_delivery_knows_whether_its_records_wait_behind_others",),
    ),
    Mutant(
        "gateway-server-seconds",
        "the figure of the answers to servers",
        (Edit("bridge/gateway/middleware.py::Front._scripts_route", "metrics.GATEWAY_SERVER_SECONDS.observe(...)"),),
        ("tests/unit/gateway/test_figures.py::test_servers_answers_have_a_figure_of_their_own",),
    ),
    Mutant(
        "check-time",
        "the charge for an event that takes long to check",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::_checked",
                "max(0, min(by_time, reads * _MOST_BY_TIME * weighs) - weighs)",
                "0",
            ),
        ),
        ("tests/unit/gateway/admission/test_weight.py::test_an_event_counts_as_the_time_of_its_check",),
    ),
    Mutant(
        "check-pause",
        "the limit on what a check charges when the process pauses within it",
        (Edit("bridge/gateway/admission/refused_events.py::_MOST_BY_TIME", "20", "10**6"),),
        ("tests/unit/gateway/admission/test_weight.py::test_an_event_counts_as_the_time_of_its_check",),
    ),
    Mutant(
        "check-once",
        "the single check of a long event whose check takes the usual time of its weight",
        (Edit("bridge/gateway/admission/refused_events.py::_USUAL", "8", "0"),),
        ("tests/unit/gateway/admission/test_weight.py::test_a_long_event_is_checked_once_if_its_time_is_usual",),
    ),
    Mutant(
        "check-pause-long",
        "the higher limit on what the check of a long event charges",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::_checked",
                "reads * _MOST_BY_TIME * weighs",
                "reads * _MOST_BY_TIME",
            ),
        ),
        ("tests/unit/gateway/admission/test_weight.py::test_an_event_counts_as_the_time_of_its_check",),
    ),
    Mutant(
        "check-refused",
        "the time of a refused event in what it counts as",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::charge_costs",
                "check.more + check.refused",
                "check.refused",
            ),
        ),
        ("tests/unit/gateway/admission/test_weight.py::test_each_read_of_a_refused_event_counts_beside_its_refusal",),
    ),
    Mutant(
        "check-retries",
        "the retries of an event in the time that it counts as",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::_checked",
                "0 if ends else services.settings.max_retries",
                "0",
            ),
        ),
        ("tests/unit/gateway/admission/test_weight.py::test_each_read_of_a_refused_event_counts_beside_its_refusal",),
    ),
    Mutant(
        "check-visitors-refused",
        "the cost of visitors' events that the stream retries",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::RefusedEvents.beyond_bound",
                "more = max(more, costs)",
                "pass",
            ),
        ),
        ("tests/unit/gateway/admission/test_weight.py::test_each_read_of_a_refused_event_counts_beside_its_refusal",),
    ),
    Mutant(
        "check-encoding",
        "the encoding of the row in the time of a check",
        (Edit("bridge/gateway/admission/refused_events.py::_timed", "copy_encoder.encoded", "list"),),
        ("tests/unit/gateway/admission/test_weight.py::test_the_check_takes_as_long_as_the_work_of_a_worker",),
    ),
    Mutant(
        "check-cold",
        "the cleared caches of a check",
        (Edit("bridge/gateway/admission/refused_events.py::_timed", "forget_texts()"),),
        ("tests/unit/gateway/admission/test_weight.py::test_the_check_takes_as_long_as_the_work_of_a_worker",),
    ),
    Mutant(
        "check-again",
        "the second check of an event whose first check took long",
        (Edit("bridge/gateway/admission/refused_events.py::_checked", "seconds > _SECONDS_OF_ONE", "False"),),
        ("tests/unit/gateway/admission/test_weight.py::test_a_first_check_that_takes_long_charges_nothing",),
    ),
    Mutant(
        "rejection-freed",
        "the end of a rejection with its request",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::_timed",
                "_Refusal(rejection.error_class, rejection.message)",
                "rejection",
            ),
        ),
        (
            "tests/unit/gateway/admission/test_refused_garbage.py::test_refused_events_leave_nothing_to_the_garbage_collector",
        ),
    ),
]
