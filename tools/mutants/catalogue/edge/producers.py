"""The mechanisms on the path of events into Kafka: the gateway's bounds."""

from tools.mutants.mutant import Edit, Mutant

HOSTILE = "tests/integration/gateway/test_hostile.py"
ROUTES = "tests/integration/gateway/test_gateway.py"
BOUNDS = "tests/unit/gateway/test_bounds.py"
SHARES = "tests/integration/gateway/test_shares.py"
PROTOCOL = "tests/unit/gateway/test_protocol.py"
CONNECTIONS = "tests/unit/gateway/test_connections.py"
CORS = "tests/unit/gateway/admission/test_cors.py"
PUBLISHER = "tests/unit/gateway/test_publisher.py"
EVENT_IDS = "bridge/gateway/admission/event_ids.py::EventIds"
DERIVED = "tests/property/test_derived_ids.py"

MUTANTS = [
    Mutant(
        "gateway-body-time",
        "the time that a body may take",
        (
            Edit(
                "bridge/http/body.py::BodyLimits._seconds_for",
                "min(self.seconds, max(self._grace, size / self._rate))",
                "max(self._grace, size / self._rate) + 3600",
            ),
        ),
        (f"{HOSTILE}::test_a_slow_body_gets_408",),
    ),
    Mutant(
        "gateway-body-rate",
        "the least rate of a body",
        (
            Edit(
                "bridge/http/body.py::BodyLimits._seconds_for",
                "min(self.seconds, max(self._grace, size / self._rate)) if self._rate else self.seconds",
                "self.seconds",
            ),
        ),
        (f"{BOUNDS}::test_a_body_has_a_least_rate",),
    ),
    Mutant(
        "gateway-announced",
        "the refusal of a body by its declared length",
        (Edit("bridge/http/body.py::BodyLimits.check_announced", "int(length) > self.most_bytes", "False"),),
        (f"{HOSTILE}::test_bodies_are_held_within_their_bound",),
    ),
    Mutant(
        "gateway-inflate",
        "the limit on inflated bytes",
        (
            Edit("bridge/http/body.py::BodyLimits._inflated", "left < 0", "False"),
            Edit(
                "bridge/http/body.py::BodyLimits._inflated",
                "min(left + 1, _INFLATED_PART_BYTES)",
                "_INFLATED_PART_BYTES",
            ),
        ),
        (f"{BOUNDS}::test_a_large_body_is_refused_before_it_is_whole",),
    ),
    Mutant(
        "gateway-inflate-step",
        "the limit on the bytes that one step inflates",
        (
            Edit(
                "bridge/http/body.py::BodyLimits._inflated",
                "inflater.decompress(data, most)",
                "inflater.decompress(data)",
            ),
        ),
        (f"{BOUNDS}::test_what_is_inflated_is_told_piece_by_piece",),
    ),
    Mutant(
        "gateway-lingering",
        "the lingering close of a refused connection",
        (
            Edit(
                "bridge/http/wire/lingering_close.py::LingeringTransport.close",
                "not self._midway() or not self._transport.can_write_eof()",
                "self._until == 0.0",
            ),
        ),
        (f"{HOSTILE}::test_a_refusal_reaches_who_is_still_sending",),
    ),
    Mutant(
        "gateway-header-bytes",
        "the limit on headers",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol._count",
                "self._said_bytes > self.most_header_bytes",
                "self._said_bytes < 0",
            ),
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol._parse_slice",
                "self._header_bytes > self.most_header_bytes",
                "self._header_bytes < 0",
            ),
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.on_header",
                "len(self.headers) > _MOST_HEADERS",
                "len(self.headers) < 0",
            ),
        ),
        (f"{HOSTILE}::test_large_headers_are_refused",),
    ),
    Mutant(
        "gateway-header-time",
        "the time that headers may take",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._late", "self._in_headers", "False"),),
        (f"{HOSTILE}::test_headers_that_trickle_are_not_waited_for",),
    ),
    Mutant(
        "gateway-trailers",
        "the rule that trailers are no headers",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.on_header", "not self._in_headers", "self.parser is None"
            ),
        ),
        (f"{HOSTILE}::test_trailers_are_no_headers",),
    ),
    Mutant(
        "gateway-upgrade",
        "the second parse of a request that offers another protocol",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol._parse",
                "self._pass_over_offer(...)",
                "self.parser.get_method()",
            ),
        ),
        (f"{PROTOCOL}::test_an_offer_is_passed_over_however_it_is_cut",),
    ),
    Mutant(
        "gateway-tunnel",
        "the refusal of CONNECT",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.on_headers_complete",
                "self.parser.get_method() == b'CONNECT'",
                "False",
            ),
        ),
        (f"{PROTOCOL}::test_what_has_no_clear_end_is_refused_and_ends_the_connection",),
    ),
    Mutant(
        "gateway-own-answer",
        "the answers to requests before one that can't be parsed",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._end", "last is None or last.response_complete", "True"),),
        (f"{PROTOCOL}::test_what_has_no_clear_end_is_refused_and_ends_the_connection",),
    ),
    Mutant(
        "gateway-one-answer",
        "the rule that a request has one answer, regardless of how its body breaks",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._end", "last.response_started", "False"),),
        (f"{PROTOCOL}::test_a_begun_answer_has_no_other_in_it",),
    ),
    Mutant(
        "gateway-unread",
        "the end of a connection whose client does not read",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.pause_writing",
                "self._unread.begin()",
                "",
            ),
        ),
        (f"{PROTOCOL}::test_an_answer_that_is_not_read_ends_the_connection",),
    ),
    Mutant(
        "gateway-expectation",
        "the rule that HTTP/1.0 gets no interim answer",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.on_headers_complete", "self.expect_100_continue = False"
            ),
        ),
        (f"{PROTOCOL}::test_an_expectation_is_met_for_who_knows_of_it",),
    ),
    Mutant(
        "gateway-pipeline",
        "the limit on requests that wait for the one before them",
        (Edit("bridge/http/wire/reading.py::ReadingProtocol._may_parse", "not self.pipeline or self._drops", "True"),),
        (f"{PROTOCOL}::test_requests_that_come_at_once_are_all_answered",),
    ),
    Mutant(
        "gateway-connections",
        "the limit on connections",
        (Edit("bridge/http/wire/connections.py::Connections.enter", "len(self._addresses) >= self._most", "False"),),
        (f"{CONNECTIONS}::test_under_pressure_the_longest_idle_gives_way",),
    ),
    Mutant(
        "gateway-address-connections",
        "an address's share of the connections",
        (
            Edit(
                "bridge/http/wire/connections.py::Connections.enter",
                "self._held[address] >= self._most_of_one",
                "False",
            ),
        ),
        (f"{CONNECTIONS}::test_a_share_in_flight_refuses_more_of_its_address",),
    ),
    Mutant(
        "gateway-gives-way",
        "the end of idle connections in favour of new ones",
        (Edit("bridge/http/wire/connections.py::Connections._closed_one", "not waiting", "True"),),
        (f"{SHARES}::test_under_pressure_idle_connections_give_way",),
    ),
    Mutant(
        "gateway-hears-why",
        "the time in which a refused connection reads its refusal",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.connection_made", "self.places.hears_why(self)", "False"
            ),
        ),
        (f"{SHARES}::test_a_connection_too_many_reads_its_refusal",),
    ),
    Mutant(
        "gateway-requests",
        "the limit on requests in flight",
        (Edit("bridge/gateway/routes/events.py::receive_events.arrived", "place.grow_to(1)", "place.grow_to(0)"),),
        ("tests/unit/gateway/admission/test_shares.py::test_share_of_requests_is_held_by_those_whose_body_has_come",),
    ),
    Mutant(
        "gateway-bodies",
        "the limit on all bodies in flight",
        (Edit("bridge/http/byte_budget.py::ByteBudget.take", "self.taken + size > eased", "False"),),
        (f"{BOUNDS}::test_what_is_in_hand_is_bounded",),
    ),
    Mutant(
        "gateway-arrived",
        "the count of bytes as they arrive",
        (Edit("bridge/http/body.py::BodyLimits.read", "held.grow_to(size)"),),
        (f"{BOUNDS}::test_bytes_count_as_they_come_and_as_they_are_inflated",),
    ),
    Mutant(
        "gateway-inflated",
        "the count of inflated bytes",
        (Edit("bridge/http/body.py::BodyLimits._inflated", "held.grow_to(self.most_bytes - left)"),),
        (f"{BOUNDS}::test_bytes_count_as_they_come_and_as_they_are_inflated",),
    ),
    Mutant(
        "gateway-share",
        "a sender's share",
        (Edit("bridge/http/byte_budget.py::ByteBudget.take", "held.get(name, 0) + size > eased * share", "False"),),
        (f"{BOUNDS}::test_each_sender_has_a_share",),
    ),
    Mutant(
        "gateway-visitors-share",
        "the smaller share of visitors",
        (Edit("bridge/gateway/admission/shares.py::shares_of", "grant.sender is Sender.SERVER", "True"),),
        ("tests/unit/gateway/test_flood.py::test_flood_of_visitors_leaves_servers_of_their_script_their_share",),
    ),
    Mutant(
        "gateway-records",
        "the limit on records that wait for Kafka",
        (
            Edit(
                "bridge/gateway/publisher.py::Publisher.delivery",
                "self._budget.holding(shares, size + count * _FRAME_BYTES)",
                "self._budget.holding(shares, 1)",
            ),
        ),
        (f"{PUBLISHER}::test_memory_is_bounded",),
    ),
    Mutant(
        "gateway-headers-count",
        "the count of headers in records that wait for Kafka",
        (
            Edit(
                "bridge/gateway/publisher.py::header_bytes",
                "sum(len(name) + len(value or b'') for name, value in shared)",
                "0",
            ),
        ),
        (f"{PUBLISHER}::test_headers_count_as_memory",),
    ),
    Mutant(
        "gateway-sender",
        "the sender's part in an Idempotency-Key",
        (
            Edit("bridge/gateway/routes/events.py::_accept", "(request.script_id, grant.origin)", "request.script_id"),
            Edit(
                "bridge/gateway/routes/events.py::_accept",
                "services.idempotency[grant.sender]",
                "services.idempotency[Sender.SERVER]",
            ),
        ),
        ("tests/integration/gateway/test_keys.py::test_a_browser_takes_no_idempotency_key_from_a_server",),
    ),
    Mutant(
        "gateway-key-ids",
        "the ids that follow from a request under an Idempotency-Key",
        (Edit(f"{EVENT_IDS}.__init__", "derived_key(secret, Purpose.EVENT_ID)", "str(id(self)).encode()"),),
        ("tests/unit/gateway/admission/test_event_ids.py::test_all_processes_assign_the_same_ids_to_a_request",),
    ),
    Mutant(
        "gateway-key-ids-body",
        "the body's part in the ids under an Idempotency-Key",
        (Edit(f"{EVENT_IDS}.derive", "digest", "b''"),),
        (f"{DERIVED}::test_another_request_has_other_ids",),
    ),
    Mutant(
        "gateway-key-ids-sender",
        "the sender class's part in the ids under an Idempotency-Key",
        (Edit(f"{EVENT_IDS}.derive", "sender.value", "''"),),
        (f"{DERIVED}::test_another_request_has_other_ids",),
    ),
    Mutant(
        "gateway-document",
        "an answer of the OpenAPI document: the refusal of a body that can't be split into events",
        (Edit("bridge/gateway/openapi.py::_BODIES", "Code.INVALID_PAYLOAD_JSON", "*()"),),
        ("tests/integration/gateway/test_openapi.py::test_no_answer_is_undocumented",),
    ),
    Mutant(
        "gateway-buckets",
        "the rate limiter's token buckets",
        (Edit("bridge/http/token_buckets.py::Buckets.ask", "lacking > 0", "lacking < 0"),),
        (f"{BOUNDS}::test_a_bucket_fills_by_its_rate",),
    ),
    Mutant(
        "gateway-stuck-partition",
        "the immediate refusal of events for a partition that does not answer",
        (
            Edit(
                "bridge/gateway/publisher.py::Publisher.add",
                "self._clock.now() - flying.sent_at > self._seconds",
                "flying.sent_at < 0",
            ),
        ),
        (f"{PUBLISHER}::test_a_partition_that_does_not_answer_is_refused_at_once",),
    ),
    Mutant(
        "gateway-all-batches",
        "the wait for every batch that contains an event of the request",
        (Edit("bridge/gateway/delivery.py::Delivery.acknowledged", "self._left == 0", "True"),),
        (f"{PUBLISHER}::test_all_batches_of_a_request_are_waited_for",),
    ),
    Mutant(
        "gateway-preflight",
        "the headers of a page's tracing that a preflight allows",
        (Edit("bridge/gateway/admission/cors.py::preflight", "[*_HEADERS, *_asked(headers)]", "_HEADERS"),),
        (f"{CORS}::test_preflight_allows_what_tracing_adds",),
    ),
    Mutant(
        "gateway-preflight-names",
        "the check whether a preflight asks for valid header names",
        (Edit("bridge/gateway/admission/cors.py::_asked", "_NAME.fullmatch(name)", "name"),),
        (f"{CORS}::test_preflight_repeats_no_nonsense",),
    ),
]
