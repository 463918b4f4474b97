"""The mechanisms on the way of events into Kafka: the gateway's bounds, the Python client's spool."""

from mutants.mutant import Mutant

HOSTILE = "tests/integration/test_gateway_hostile.py"
ROUTES = "tests/integration/test_gateway.py"
BOUNDS = "tests/unit/gateway/test_bounds.py"
PUBLISHER = "tests/unit/gateway/test_publisher.py"
SPOOL = "tests/unit/client/test_spool.py"
CLIENT = "tests/unit/client/test_client.py"

GATEWAY = [
    Mutant(
        "gateway-body-time",
        "the time that a body may take",
        (
            (
                "asyncio.timeout_at(deadline or asyncio.get_running_loop().time() + self.seconds)",
                "asyncio.timeout_at(None)",
            ),
        ),
        (f"{HOSTILE}::test_a_slow_body_gets_408",),
    ),
    Mutant(
        "gateway-announced",
        "the refusal of a body by its own word",
        (("if len(length) > 15 or int(length) > self.most_bytes:", "if len(length) > 15:"),),
        (f"{HOSTILE}::test_bodies_are_held_within_their_bound",),
    ),
    Mutant(
        "gateway-inflate",
        "the bound of what is inflated",
        (("inflater.decompress(body, left + 1)", "inflater.decompress(body)"),),
        (f"{HOSTILE}::test_bombs_and_nesting",),
    ),
    Mutant(
        "gateway-lingering",
        "the reading off of what a refused client still sends",
        (("if not self._midway() or not self._transport.can_write_eof():", "if self._until == 0.0:"),),
        (f"{HOSTILE}::test_a_refusal_reaches_who_is_still_sending",),
    ),
    Mutant(
        "gateway-header-bytes",
        "the bound of headers",
        (
            ("        if self._said_bytes > self.most_header_bytes:", "        if self._said_bytes < 0:"),
            ("            if self._header_bytes > self.most_header_bytes:", "            if self._header_bytes < 0:"),
            ("        if len(self.headers) > _MOST_HEADERS:", "        if len(self.headers) < 0:"),
        ),
        (f"{HOSTILE}::test_large_headers_are_refused",),
    ),
    Mutant(
        "gateway-header-time",
        "the time that headers may take",
        (
            (
                "        if self._in_headers:\n            self._lingering.close_at_once()",
                "        return",
            ),
        ),
        (f"{HOSTILE}::test_headers_that_trickle_are_not_waited_for",),
    ),
    Mutant(
        "gateway-idle",
        "the end of a connection that is idle but for what belongs to no request",
        (
            (
                'holds none up."""\n',
                'holds none up."""\n        super()._unset_keepalive_if_required()\n',
            ),
        ),
        (f"{HOSTILE}::test_bytes_of_no_request_hold_no_connection",),
    ),
    Mutant(
        "gateway-trailers",
        "the rule that trailers are no headers",
        (("        if not self._in_headers:\n", "        if self.parser is None:\n"),),
        (f"{HOSTILE}::test_trailers_are_no_headers",),
    ),
    Mutant(
        "gateway-upgrade",
        "the deafness for the offer of another protocol",
        (("super().data_received(data if self._in_body else _without_upgrade(data))", "super().data_received(data)"),),
        (f"{HOSTILE}::test_the_offer_of_another_protocol_loses_no_body",),
    ),
    Mutant(
        "gateway-pipeline",
        "the bound of requests that wait for the one before them",
        (("        if len(self.pipeline) > _MOST_PIPELINED:", "        if len(self.pipeline) < 0:"),),
        (f"{HOSTILE}::test_requests_that_outrun_their_answers_are_not_queued_without_end",),
    ),
    Mutant(
        "gateway-connections",
        "the bound of connections",
        (("        if len(self.connections) > self.most_connections:", "        if len(self.connections) < 0:"),),
        (f"{HOSTILE}::test_connections_and_requests_are_bounded",),
    ),
    Mutant(
        "gateway-requests",
        "the bound of requests in hand",
        (("            if self._in_hand > self._most_requests:", "            if self._in_hand < 0:"),),
        (f"{HOSTILE}::test_connections_and_requests_are_bounded",),
    ),
    Mutant(
        "gateway-bodies",
        "the bound of all bodies in hand",
        (("        if self.taken + size > self._most:", "        if self.taken + size < 0:"),),
        (f"{BOUNDS}::test_bodies_in_hand_are_bounded",),
    ),
    Mutant(
        "gateway-records",
        "the bound of what waits for Kafka",
        (
            (
                "        if self.bytes_in_flight + size + count * _FRAME_BYTES > self._most_bytes:",
                "        if size < 0:",
            ),
        ),
        (f"{PUBLISHER}::test_memory_is_bounded",),
    ),
    Mutant(
        "gateway-headers-count",
        "the headers in what waits for Kafka",
        (("        size = written.size + _FRAME_BYTES", "        size = len(value) + _FRAME_BYTES"),),
        (f"{PUBLISHER}::test_headers_count_as_memory",),
    ),
    Mutant(
        "gateway-sender",
        "the sender's part in an Idempotency-Key",
        (("find((request.script_id, grant.origin), key, body)", "find(request.script_id, key, body)"),),
        (f"{ROUTES}::test_a_browser_takes_no_idempotency_key_from_a_server",),
    ),
    Mutant(
        "gateway-document",
        "an answer of the OpenAPI document: the refusal of a body that can't be taken apart",
        (("    Code.INVALID_PAYLOAD_JSON, Code.BODY_TIMEOUT,", "    Code.BODY_TIMEOUT,"),),
        ("tests/integration/test_gateway_openapi.py::test_no_answer_is_undocumented",),
    ),
    Mutant(
        "gateway-buckets",
        "the token buckets",
        (
            (
                "        if lacking > 0:\n            raise Problem(",
                "        if lacking < 0:\n            raise Problem(",
            ),
        ),
        (f"{BOUNDS}::test_a_bucket_fills_by_its_rate",),
    ),
    Mutant(
        "gateway-stuck-partition",
        "the refusal at once of what is for a partition that does not answer",
        (
            (
                "        if flying is not None and self._loop.time() - flying.sent_at > self._seconds:",
                "        if flying is not None and flying.sent_at < 0:",
            ),
        ),
        (f"{PUBLISHER}::test_a_partition_that_does_not_answer_is_refused_at_once",),
    ),
    Mutant(
        "gateway-all-batches",
        "the wait for every batch that holds an event of the request",
        (("        return self._left == 0 and self.error is None", "        return self.error is None"),),
        (f"{PUBLISHER}::test_all_batches_of_a_request_are_waited_for",),
    ),
]

CLIENTS = [
    Mutant(
        "spool-checksum",
        "the checksum of a line",
        (('    if not line.endswith(b"\\n") or checksum != b"%08x" % zlib.crc32(rest):', "    if not checksum:"),),
        (SPOOL,),
    ),
    Mutant(
        "spool-lock",
        "the lock on a spool's directory",
        (("            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "            pass\n"),),
        (f"{SPOOL}::test_one_client_at_a_time",),
    ),
    Mutant(
        "spool-bound",
        "the bound of a spool",
        (("        if self._bytes + len(line) > self._most_bytes:", "        if self._bytes < 0:"),),
        (f"{SPOOL}::test_a_full_spool_takes_no_more",),
    ),
    Mutant(
        "spool-half-line",
        "the removal of a line that a full disk cut short",
        (("            os.ftruncate(file.fileno(), before)\n            file.seek(before)\n", ""),),
        (f"{SPOOL}::test_a_full_disk_leaves_no_half_line",),
    ),
    Mutant(
        "spool-clears",
        "the removal of what is delivered from a full disk",
        (("                if not self._cleared():\n", "                if not self._segments:\n"),),
        (f"{SPOOL}::test_a_disk_that_the_spool_has_filled_takes_more_once_all_is_delivered",),
    ),
    Mutant(
        "spool-order",
        "the rule that the mark passes over no batch that is still out",
        (
            (
                "        while self._out and id(self._out[0][0]) in self._done:\n            settled, *place = self._out.pop(0)",
                "        while self._out and self._done:\n            settled, *place = self._out.pop(0)",
            ),
        ),
        (f"{SPOOL}::test_what_was_not_settled_comes_again_after_a_crash",),
    ),
    Mutant(
        "spool-own-segment",
        "the new segment of each process, behind a torn line",
        (
            (
                'opened = self._path(number).open("xb", buffering=0)',
                'opened = self._path(max(number - 1, 1)).open("ab", buffering=0)',
            ),
        ),
        (f"{SPOOL}::test_a_torn_tail_is_passed_over",),
    ),
    Mutant(
        "spool-refused",
        "the note of what the gateway refused",
        (("                    file.write(lines)\n", "                    assert file\n"),),
        (f"{SPOOL}::test_refused_events_are_written_down",),
    ),
    Mutant(
        "client-same-batch",
        "the wait of all batches for what Retry-After asks of one",
        (("        self._not_before = max(self._not_before, time.monotonic() + wait)\n", ""),),
        (f"{CLIENT}::test_retry_after_holds_every_batch_back",),
    ),
    Mutant(
        "client-divides",
        "the halving of a batch that is refused whole",
        (("_DIVISIBLE: Final = frozenset({400, 413, 422})", "_DIVISIBLE: Final = frozenset({1})"),),
        (f"{CLIENT}::test_a_bad_event_does_not_take_its_neighbours_along",),
    ),
    Mutant(
        "client-whole-answer",
        "the look whether a 2xx is the gateway's own",
        (("        if not isinstance(results, list) or len(results) != len(batch):", "        if results == 7:"),),
        ("tests/unit/client/test_answers.py::test_a_2xx_that_is_not_the_gateways_proves_nothing",),
    ),
]

MUTANTS = [*GATEWAY, *CLIENTS]
