"""The report of `bridge doctor`: one line for each check, and the overall result."""

from enum import StrEnum

from pydantic import BaseModel


class Health(StrEnum):
    """The result of a check, in order of severity: as it should be; worth a look; broken, or impossible to check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Diagnosis(BaseModel, frozen=True):
    """One check: what was found, and how to correct it (empty if the check is ok)."""

    group: str
    check: str
    health: Health
    found: str
    mend: str = ""


class DoctorReport(BaseModel, frozen=True):
    """The whole report. `health` is the worst of the checks; `duration_ms` is how long they took."""

    health: Health
    environment: str
    checked_at: str
    duration_ms: int
    diagnoses: list[Diagnosis]
