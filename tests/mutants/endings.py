"""Mutants of what every ending of a run leaves, and of the port for figures."""

from mutants.mutant import Edit, Mutant

ENDINGS = "tests/integration/test_endings.py"

MUTANTS = [
    Mutant(
        "unfit-untold",
        "the webhook's call for a run that could not begin",
        (Edit("bridge/runs/frame.py::tell_of", "code == DONE", "code in (DONE, UNFIT)"),),
        (ENDINGS,),
    ),
    Mutant(
        "gate-of-nothing",
        "no verdict where nothing was judged",
        (Edit("bridge/runs/process.py::process_job", "run.finished or summary.processed_total", "summary"),),
        (ENDINGS,),
    ),
    Mutant(
        "refused-without-summary",
        "the summary of a run whose settings are refused",
        (Edit("bridge/cli/unfit.py::leave_summary", "_path(words, script)", "None"),),
        (ENDINGS,),
    ),
    Mutant(
        "metrics-port-unasked",
        "the look at the port for figures before the start",
        (Edit("streams/app.py::_metrics_port", "probe.bind((host, settings.metrics_port))", "probe.bind((host, 0))"),),
        ("tests/integration/test_metrics_port.py",),
    ),
]  # fmt: skip
