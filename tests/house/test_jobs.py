"""The names of jobs: each one is known to the metrics."""

import re
from pathlib import Path

from schemas.documents.run_summary import JOBS

BRIDGE = Path(__file__).resolve().parents[2] / "bridge"


def test_the_names_of_all_jobs_are_known() -> None:
    """The names in the code that makes jobs are those of `JOBS`."""
    made = {
        name for path in BRIDGE.rglob("*.py") for name in re.findall(r'\b_?[jJ]ob\(\s*"([a-z-]+)"', path.read_text())
    }
    assert made == JOBS
