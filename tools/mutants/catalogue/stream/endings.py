"""The mechanisms behind the records that every end of a run leaves, and the metrics port."""

from tools.mutants.mutant import Edit, Mutant

ENDINGS = "tests/integration/worker/test_endings.py"
PORT = "tests/integration/telemetry/test_metrics_port.py"
TELL = "tests/unit/bridge/test_tell_of_run.py"

MUTANTS = [
    Mutant(
        "unfit-untold",
        "the webhook call for a run that could not begin",
        (Edit("bridge/jobs/frame.py::tell_of", "code == DONE", "code in (DONE, UNFIT)"),),
        (ENDINGS,),
    ),
    Mutant(
        "verdict-claimed",
        "the comparison of a change of verdict with Postgres",
        (Edit("gate_changes_standing.sql", "WHERE s.change_id::text = claimed.change_id", ""),),
        ("tests/integration/telemetry/test_verdict.py::test_a_forged_verdict_is_not_told",),
    ),
    Mutant(
        "verdicts-kept",
        "the wait for Postgres with changes of verdict that are not confirmed yet",
        (Edit("gate_notifier.py::GateNotifier._standing", "await asyncio.sleep(seconds)", "return []"),),
        ("tests/integration/telemetry/test_verdict.py::test_nothing_is_told_by_a_records_own_word",),
    ),
    Mutant(
        "verdict-retold",
        "the rule that the same change of verdict causes one notification",
        (Edit("gate_notifier.py::GateNotifier.tell", "self._notified.get(claim.target) != claim.change_id", "True"),),
        ("tests/integration/telemetry/test_verdict.py::test_many_forged_verdicts_cost_one_look",),
    ),
    Mutant(
        "gate-of-nothing",
        "the missing verdict if no event was judged",
        (Edit("bridge/jobs/process.py::process_job", "run.finished or summary.processed_total", "summary"),),
        (ENDINGS,),
    ),
    Mutant(
        "away-as-verdict",
        "the exit code of a command if Postgres is away",
        (Edit("bridge/cli/common.py::run", "raise PreconditionFailed(refusal(error)) from error", "raise"),),
        ("tests/integration/commands/test_away.py",),
    ),
    Mutant(
        "refused-without-summary",
        "the summary of a run whose settings are refused",
        (Edit("bridge/cli/unfit.py::leave_summary", "_path(words, script)", "None"),),
        (ENDINGS,),
    ),
    Mutant(
        "install-untold",
        "the webhook call for a scheduled run whose install failed",
        (Edit(".github/workflows/bridge-raw-worker.yml", "if: always()\nenv:\nOUTCOME:", "if: success()\n        env:\n          OUTCOME:"),),
        ("tests/house/test_workflows.py",),
    ),
    Mutant(
        "told-twice",
        "the omission of a workflow's last call if the run has left its summary",
        (Edit("scripts/tell_of_run.py::main", "given.summary.exists()", "False"),),
        (f"{TELL}::test_a_run_that_left_its_summary_is_not_told_again",),
    ),
    Mutant(
        "install-unsigned",
        "the refusal of a workflow's last step to call unsigned in production",
        (Edit("scripts/tell_of_run.py::refusal", "not keys", "False"),),
        (f"{TELL}::test_production_calls_no_webhook_that_the_run_refuses",),
    ),
    Mutant(
        "metrics-port-unasked",
        "the binding of the metrics port before the start",
        (Edit("streams/metrics_port.py::metrics_listener", "listener.bind((host, settings.metrics_port))", "listener.bind((host, 0))"),),
        (PORT,),
    ),
    Mutant(
        "metrics-port-raced",
        "the bind of the metrics port at the start",
        (Edit("streams/metrics_port.py::metrics_listener", "listener.listen(_BACKLOG)", ""),),
        (f"{PORT}::test_a_port_is_taken_by_the_start_that_looks_at_it",),
    ),
]  # fmt: skip
