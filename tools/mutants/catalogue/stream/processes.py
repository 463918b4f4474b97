"""The mechanisms of a command with several processes."""

from tools.mutants.mutant import Edit, Mutant

SUPERVISOR = "tests/unit/processes/test_supervisor.py"
LINK = "tests/unit/processes/test_link.py"
SHARES = "tests/unit/processes/test_shares.py"
VALUES = "tests/unit/telemetry/test_shared_values.py"

MUTANTS = [
    Mutant(
        "process-replaced",
        "the restart of a process that has ended",
        (Edit("bridge/processes/supervisor.py::Supervisor._turn", "self._start(seat)"),),
        (f"{SUPERVISOR}::test_a_killed_process_is_replaced",),
    ),
    Mutant(
        "process-restarts-counted",
        "the count of restarts",
        (Edit("bridge/processes/supervisor.py::Supervisor._turn", "self._restarted(1)"),),
        (f"{SUPERVISOR}::test_a_process_that_dies_is_replaced",),
    ),
    Mutant(
        "process-backoff",
        "the longer delay before a restart after several failures",
        (Edit("bridge/processes/supervisor.py::delay", "2.0 ** min(failures - 1, 16)", "1.0"),),
        (f"{SUPERVISOR}::test_delays_double_up_to_a_limit",),
    ),
    Mutant(
        "process-refused",
        "the end of a command whose process would fail at each start",
        (Edit("bridge/processes/supervisor.py::Supervisor._ended", "failure.lasting", "False"),),
        (f"{SUPERVISOR}::test_a_start_that_would_fail_again_ends_all",),
    ),
    Mutant(
        "process-away",
        "the restart of a process that could not start because a service was away",
        (Edit("bridge/processes/supervisor.py::Supervisor._ended", "failure.lasting", "True"),),
        (f"{SUPERVISOR}::test_a_start_that_may_succeed_later_is_repeated",),
    ),
    Mutant(
        "process-lasting",
        "the distinction between a refused start and a service that is away",
        (Edit("streams/startup_checks.py::_answering", "not _is_hopeless(postgres)", "False"),),
        ("tests/unit/streams/test_startup_checks.py",),
    ),
    Mutant(
        "process-hung",
        "the end of a process that does not answer",
        (Edit("bridge/processes/supervisor.py::Supervisor._ping", "seat.process.kill()"),),
        (f"{SUPERVISOR}::test_a_process_that_hangs_is_replaced",),
    ),
    Mutant(
        "process-drained",
        "the signal to all processes when the command drains",
        (Edit("bridge/processes/supervisor.py::Supervisor._drain", "seat.process.terminate()", "seat.process.kill()"),),
        (f"{SUPERVISOR}::test_a_signal_drains_all",),
    ),
    Mutant(
        "process-worst",
        "the exit code of the worst end",
        (
            Edit(
                "bridge/processes/supervisor.py::Supervisor._drain",
                "worst(seat.ended_with for seat in self.seats)",
                "0",
            ),
        ),
        (f"{SUPERVISOR}::test_the_exit_code_is_the_worst",),
    ),
    Mutant(
        "process-gauges-forgotten",
        "the removal of an ended process's gauges",
        (Edit("bridge/processes/supervisor.py::Supervisor._close", "forget_process(...)"),),
        (f"{SUPERVISOR}::test_a_killed_process_is_replaced",),
    ),
    Mutant(
        "process-orphaned",
        "the drain of processes whose supervisor has ended",
        (Edit("bridge/processes/link.py::Answering._answer_all", "os.kill(os.getpid(), signal.SIGTERM)"),),
        (f"{SUPERVISOR}::test_processes_end_with_their_supervisor",),
    ),
    Mutant(
        "process-late-answer",
        "the comparison of an answer with its question",
        (Edit("bridge/processes/link.py::Asking.ask", "number == self._asked", "True"),),
        (f"{LINK}::test_a_late_answer_is_not_the_next_one",),
    ),
    Mutant(
        "process-unread",
        "the limit of questions that a process has not read",
        (Edit("bridge/processes/link.py::Asking.ask", "self._unread < _MOST_UNREAD", "True"),),
        (f"{LINK}::test_a_process_that_does_not_read_does_not_block_the_supervisor",),
    ),
    Mutant(
        "process-lanes",
        "the division of lanes and connections among processes",
        (
            Edit(
                "bridge/worker/shares.py::share_of",
                "all_lanes // processes + (number <= all_lanes % processes)",
                "all_lanes",
            ),
        ),
        (f"{SHARES}::test_lanes_and_keys_are_divided",),
    ),
    Mutant(
        "process-ready",
        "the readiness of each process in that of all",
        (Edit("bridge/worker/shares.py::together", "answer is not None and answer[0] == 200", "True"),),
        (SHARES,),
    ),
    Mutant(
        "process-healthy",
        "the liveness of each process in that of all",
        (Edit("bridge/worker/pages.py::Pages.health", "'unhealthy' in states", "False"),),
        ("tests/unit/processes/test_pages.py",),
    ),
    Mutant(
        "process-pipe",
        "the later start of a process for which no pipe can be made",
        (
            Edit(
                "bridge/processes/supervisor.py::Supervisor._start",
                "try:\n    ours, theirs = _SPAWN.Pipe()\nexcept OSError as error:\n    ...",
                "ours, theirs = _SPAWN.Pipe()",
            ),
        ),
        ("tests/unit/processes/test_supervisor.py::test_a_process_without_a_pipe_is_started_later",),
    ),
    Mutant(
        "pages-bound",
        "the limit of connections to the pages of a worker's supervisor",
        (Edit("bridge/worker/pages.py::serving", "PagesProtocol", "'auto'"),),
        ("tests/unit/processes/test_pages.py::test_idle_connections_give_way",),
    ),
    Mutant(
        "pages-few",
        "the limit of connections to the pages of a worker",
        (Edit("streams/faust_host/pages.py::_opened", "oldest.force_close()", "pass"),),
        ("tests/unit/streams/worker/test_pages.py::test_idle_connections_give_way",),
    ),
    Mutant(
        "pages-kept",
        "the number of times that a worker builds a page in a second",
        (Edit("streams/faust_host/pages.py::Kept.page", "self._left >= 1", "True"),),
        ("tests/unit/streams/worker/test_pages.py::test_a_page_is_built_seldom_however_many_ask",),
    ),
    Mutant(
        "series-removed",
        "the removal of a series from metrics that processes share",
        (Edit("telemetry/shared_values.py::remove_series", "series.set(math.nan)"),),
        (f"{VALUES}::test_a_partition_has_one_series",),
    ),
    Mutant(
        "series-removed-last",
        "the rule that the latest value of several processes may be its removal",
        (Edit("telemetry/shared_values.py::Together.collect", "_mode(one) != _LATEST", "True"),),
        (f"{VALUES}::test_a_partition_has_one_series",),
    ),
    Mutant(
        "series-kept-by-owner",
        "the rule that a removal by one process does not hide the value of another",
        (Edit("telemetry/shared_values.py::Together.collect", "_mode(one) != _LATEST", "False"),),
        (f"{VALUES}::test_a_flag_is_kept_by_its_owner",),
    ),
    Mutant(
        "lowest-unset",
        "the rule that a process which has only started does not hide the lowest value of the others",
        (Edit("telemetry/shared_values.py::Together.collect", "0 if _mode(one) == _LOWEST else math.nan", "math.nan"),),
        (f"{VALUES}::test_a_process_that_has_read_nothing_yet_does_not_hide_the_oldest_reading",),
    ),
    Mutant(
        "shared-file-empty",
        "the omission of a file that a starting process has just created",
        (Edit("telemetry/shared_values.py::_begun", "path.stat().st_size", "True"),),
        (f"{VALUES}::test_a_file_without_values_is_passed_over",),
    ),
    Mutant(
        "shared-by-place",
        "the name of a process's place in its files, by which a replacement continues the counters",
        (Edit("telemetry/shared_values.py::share_values", "current_process().name", "str(os.getpid())"),),
        (f"{VALUES}::test_an_ended_process_leaves_its_counters_only",),
    ),
    Mutant(
        "process-in-logs",
        "the number of the process in its log lines",
        (Edit("telemetry/logging.py::configure_logs", "process is not None", "False"),),
        ("tests/unit/telemetry/test_logging.py",),
    ),
]
