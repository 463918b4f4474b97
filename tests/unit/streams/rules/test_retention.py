"""Which rows a plan of retention removes by the settings, and which settings are refused."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from schemas.pipeline.retention import RetentionKind
from streams.rules.retention import RETENTIONS, steps

NOW = datetime(2026, 11, 30, tzinfo=UTC)
STORE = {"store_url": "file:///archive"}


def made(**given: str) -> Settings:
    return Settings(**given)  # type: ignore[arg-type]  # the settings validate what they are given


@pytest.mark.parametrize("kind", RETENTIONS)
def test_a_retention_below_its_bound_is_refused(kind: RetentionKind) -> None:
    """One hour less is refused with the setting's name, the bound itself and the proposal are accepted."""
    one = RETENTIONS[kind]

    for keep in (f"{one.least_hours}h", one.proposal or "9000h"):
        assert [step.kind for step in steps(made(**{one.setting: keep}, **STORE), NOW, None)] == [kind]
    with pytest.raises(InvalidInput, match=f"BRIDGE_{one.setting.upper()} is {one.least_hours - 1}h; at least"):
        steps(made(**{one.setting: f"{one.least_hours - 1}h"}), NOW, None)


def test_hours_are_kept_as_long_as_minutes() -> None:
    """Minutes that are added up to days would never be hours."""
    with pytest.raises(InvalidInput, match="at least BRIDGE_KEEP_MINUTE_WINDOWS, 400h"):
        steps(made(keep_minute_windows="400h", keep_hour_windows="399h"), NOW, None)


@pytest.mark.parametrize(
    ("month", "before"),
    [(10, datetime(2026, 10, 1, tzinfo=UTC)), (11, NOW - timedelta(days=45)), (None, NOW - timedelta(days=45))],
)
def test_a_key_stays_while_its_month_is_stored(month: int | None, before: datetime) -> None:
    """Only keys from before the oldest stored month are removed, and none younger than the horizon."""
    oldest = None if month is None else datetime(2026, month, 1, tzinfo=UTC)

    assert [step.before for step in steps(made(keep_keys="1080h"), NOW, oldest)] == [before]


def test_events_are_removed_by_whole_months() -> None:
    """A month is removed once all of it has reached the age."""
    (step,) = steps(made(keep_events="1464h", **STORE), NOW, None)

    assert step.before == datetime(2026, 9, 1, tzinfo=UTC)


def test_events_are_removed_only_with_a_store() -> None:
    """Their archive is there."""
    with pytest.raises(InvalidInput, match="BRIDGE_KEEP_EVENTS is set, and BRIDGE_STORE_URL is not"):
        steps(made(keep_events="9000h"), NOW, None)
