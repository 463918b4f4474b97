"""The mechanisms of the Python client: its spool, its verdicts, and the delivery after errors."""

from tools.mutants.mutant import Edit, Mutant

SPOOL = "tests/unit/client/test_spool.py"
CLIENT = "tests/unit/client/test_client.py"
SENDERS = "tests/unit/client/test_senders_faults.py"

MUTANTS = [
    Mutant(
        "spool-checksum",
        "the checksum of a line",
        (
            Edit(
                "bridge/client/spool.py::event_of",
                'not line.endswith(b"\\n") or checksum != b"%08x" % zlib.crc32(rest)',
                "not checksum",
            ),
        ),
        (SPOOL,),
    ),
    Mutant(
        "spool-lock",
        "the lock on a spool's directory",
        (Edit("bridge/client/spool.py::SpoolQueue.__init__", "fcntl.flock(...)"),),
        (f"{SPOOL}::test_one_client_at_a_time",),
    ),
    Mutant(
        "spool-bound",
        "the limit on a spool",
        (
            Edit(
                "bridge/client/spool.py::SpoolQueue.append",
                "self._bytes + len(line) > self._most_bytes",
                "self._bytes < 0",
            ),
        ),
        (f"{SPOOL}::test_a_full_spool_takes_no_more",),
    ),
    Mutant(
        "spool-half-line",
        "the removal of a line that a full disk cut short",
        (Edit("bridge/client/spool.py::SpoolQueue._write", "os.ftruncate(...)\nfile.seek(...)"),),
        (f"{SPOOL}::test_a_full_disk_leaves_no_half_line",),
    ),
    Mutant(
        "spool-clears",
        "the removal of delivered events from a full disk",
        (Edit("bridge/client/spool.py::SpoolQueue.append", "self._cleared()", "self._segments"),),
        (f"{SPOOL}::test_a_disk_that_the_spool_has_filled_takes_more_once_all_is_delivered",),
    ),
    Mutant(
        "spool-order",
        "the rule that the mark does not pass a batch that is still being sent",
        (Edit("bridge/client/spool.py::SpoolQueue.settle", "id(self._out[0][0]) in self._done", "self._done"),),
        (f"{SPOOL}::test_what_was_not_settled_comes_again_after_a_crash",),
    ),
    Mutant(
        "spool-own-segment",
        "the new segment of each process, after a torn line",
        (
            Edit(
                "bridge/client/spool.py::SpoolQueue._next_segment",
                'open_private(self._path(number), "xb", ...)',
                'open_private(self._path(max(number - 1, 1)), "ab", buffering=0)',
            ),
        ),
        (f"{SPOOL}::test_a_torn_tail_is_passed_over",),
    ),
    Mutant(
        "spool-refused",
        "the note of events that the gateway refused",
        (Edit("bridge/client/spool.py::SpoolQueue._refuse", "file.write(lines)", "assert file"),),
        (f"{SPOOL}::test_refused_events_are_written_down",),
    ),
    Mutant(
        "client-same-batch",
        "the wait of all batches that Retry-After asks of one",
        (Edit("bridge/client/sender.py::Sender._note", "self._not_before = ..."),),
        (f"{CLIENT}::test_retry_after_holds_every_batch_back",),
    ),
    Mutant(
        "client-divides",
        "the halving of a batch that is refused whole",
        (Edit("bridge/client/answers.py::_DIVISIBLE", "{400, 413, 422}", "{1}"),),
        (f"{CLIENT}::test_a_bad_event_does_not_take_its_neighbours_along",),
    ),
    Mutant(
        "client-whole-answer",
        "the check whether a 202 is the gateway's own",
        (Edit("bridge/client/answers.py::judge", "_is_receipt(results, batch)", "results != 7"),),
        ("tests/unit/client/test_answers.py::test_a_2xx_that_is_not_the_gateways_proves_nothing",),
    ),
    Mutant(
        "client-only-202",
        "the rule that no status but 202 acknowledges a batch",
        (Edit("bridge/client/answers.py::judge", "status == HTTPStatus.ACCEPTED", "200 <= status < 300"),),
        ("tests/unit/client/test_answers.py::test_only_202_is_the_gateways",),
    ),
    Mutant(
        "client-any-error",
        "the handling of every exception that a try raises",
        (
            Edit(
                "bridge/client/sender.py::Sender._try",
                "return await self._post(part)",
                "try:\n    return await self._post(part)\nexcept ValueError:\n    await asyncio.Event().wait()",
            ),
        ),
        (f"{SENDERS}::test_a_transport_that_raises_anything_loses_nothing",),
    ),
    Mutant(
        "client-inner-cancel",
        "the check whether this task or an operation within the post was cancelled",
        (Edit("bridge/client/sender.py::Sender._try", "task is None or task.cancelling()", "True"),),
        (f"{SENDERS}::test_a_transport_that_raises_anything_loses_nothing",),
    ),
    Mutant(
        "client-no-netrc",
        "the session that does not read netrc",
        (
            Edit(
                "bridge/client/sender.py::Sender._opened",
                "aiohttp.ClientSession(...)",
                "aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=9), trust_env=True)",
            ),
        ),
        (f"{SENDERS}::test_credentials_of_netrc_are_not_used",),
    ),
    Mutant(
        "client-long-answer",
        "the end of an answer that is longer than any of the gateway's",
        (Edit("bridge/client/sender.py::_body", "len(body) > _MOST_ANSWER", "False"),),
        (f"{SENDERS}::test_an_answer_longer_than_the_gateways_is_somebody_elses",),
    ),
    Mutant(
        "client-inflates-nothing",
        "the session that inflates no answer",
        (
            Edit(
                "bridge/client/sender.py::Sender._opened",
                "aiohttp.ClientSession(...)",
                "aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=9), proxy=_proxy_for(self._url))",
            ),
        ),
        (f"{SENDERS}::test_an_answer_longer_than_the_gateways_is_somebody_elses",),
    ),
    Mutant(
        "client-own-credentials",
        "the refusal of addresses with credentials",
        (Edit("bridge/client/client.py::_check_url", '"@" in parts.netloc', "False"),),
        (f"{SENDERS}::test_an_address_with_credentials_is_refused",),
    ),
    Mutant(
        "client-probe",
        "the batch without events that distinguishes a refused event from a blocked path",
        (Edit("bridge/client/sender.py::Sender._verdict", "await self._try([])", "Taken([])"),),
        (f"{SENDERS}::test_a_page_in_front_of_everything_gives_nothing_up",),
    ),
    Mutant(
        "client-returned",
        "the next try of a batch whose task was cancelled",
        (Edit("bridge/client/client.py::BridgeClient._batch_ended", "self._returned.append(batch)"),),
        (f"{SENDERS}::test_tasks_that_a_program_cancels_begin_again",),
    ),
]
