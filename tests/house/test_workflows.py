"""Scheduled workflows: each end of a job leaves a summary, and a failure calls the webhook."""

from typing import Any

import pytest
from house.test_pins import WORKFLOWS, load

JOBS = {
    f"{path.stem}: {name}": job
    for path in WORKFLOWS
    if "schedule" in (workflow := load(path))["on"]
    for name, job in workflow["jobs"].items()
}


def test_there_are_scheduled_jobs() -> None:
    """The other tests have jobs to check."""
    assert len(JOBS) >= 3


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
def test_each_ending_of_a_scheduled_job_is_told(job: dict[str, Any]) -> None:
    """The last two steps report it; they need nothing that an earlier step installs."""
    *_, work, tell, keep = job["steps"]
    words = tell["run"].split()
    assert (tell["if"], keep["if"]) == ("always()", "always()")
    assert words[:2] == ["python3", "scripts/tell_of_run.py"]
    assert words[3] == '"$OUTCOME"'
    assert tell["env"]["OUTCOME"] == f"${{{{ steps.{work['id']}.outcome }}}}"
    assert keep["with"]["path"] == words[4]
    known = {**job.get("env", {}), **tell["env"]}
    assert {"BRIDGE_ENV", "BRIDGE_WORKER_ALERT_WEBHOOK", "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET"} <= set(known)
    if job["runs-on"] == "self-hosted":
        # The directory outlives the run, so an old summary would be taken for this run's.
        assert job["steps"][0]["run"] == f"rm -f {words[4]}"
