"""Report of `bridge doctor`: a line for each check, and the overall verdict."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Health(StrEnum):
    """In order of weight: as it should be, worth a look, broken or not to be looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Diagnosis(BaseModel):
    """The result of one check: what was found, and how to correct it (empty when it is ok)."""

    model_config = ConfigDict(frozen=True)

    group: str
    check: str
    health: Health
    found: str
    mend: str = ""


class DoctorReport(BaseModel):
    """All of it; `health` is the worst of them, `duration_ms` how long the looking took."""

    model_config = ConfigDict(frozen=True)

    health: Health
    environment: str
    checked_at: str
    duration_ms: int
    diagnoses: list[Diagnosis]
