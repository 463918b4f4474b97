"""The contract's own types: instants and amounts."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.events.raw_event import instant_from_epoch_ms, parse_amount, parse_instant, rounded_amount


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-10-09T08:53:20Z", datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
        ("2025-10-09T08:53:20.5+02:00", datetime(2025, 10, 9, 6, 53, 20, 500_000, tzinfo=UTC)),
        (1_760_000_000_000, datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01t05:29:60.5+05:30", datetime(2017, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_instants(value: Any, expected: datetime) -> None:
    """RFC 3339 with an offset, leap seconds at a month's end included, or milliseconds since the epoch."""
    assert parse_instant(value) == expected


@pytest.mark.parametrize(
    "value",
    ["2025-10-09T08:53:20", "2025-10-09", "", "now", "99999-01-01T00:00:00Z", True, 1.5, None, -1, 2**64, [1],
     253_402_300_800_000, "2016-12-30T23:59:60Z", "2016-12-31T22:59:60Z", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60",
     "9999-12-31T23:59:60Z"],
)  # fmt: skip
def test_what_is_no_instant(value: Any) -> None:
    """A time without an offset is ambiguous; only ValueError is raised."""
    with pytest.raises(ValueError):
        parse_instant(value)


def test_the_last_millisecond_of_year_9999_is_one() -> None:
    """The next one is out of range."""
    assert instant_from_epoch_ms(253_402_300_799_999).year == 9999
    with pytest.raises(ValueError, match="out of range"):
        instant_from_epoch_ms(253_402_300_800_000)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(12, "12"), ("12.50", "12.50"), (Decimal("1E+3"), "1000"), ("-.5", "-0.5"), ("5.", "5"), ("1e3", "1000"),
     ("0e999999999", "0"), (10**15 - 1, "999999999999999"), (Decimal("0.0000010"), "0.000001"), (0, "0"),
     (Decimal("1." + "0" * 300), "1"), ("-999999999999999.999999", "-999999999999999.999999"),
     (Decimal("836.9999999999998"), "837"), (Decimal("0.30000000000000004"), "0.3"), ("1e-9999999", "0"),
     (Decimal("5e-324"), "0"), ("0.0000005", "0.000001"), ("0.0000015", "0.000002"), ("-0.0000025", "-0.000003"),
     ("0.00000049", "0"), ("999999999999999.9999994", "999999999999999.999999")],
)  # fmt: skip
def test_amounts(value: Any, expected: str) -> None:
    """A number or its text, with six decimals at most, rounded half away from zero."""
    exact = parse_amount(value)
    assert exact is not None
    amount = rounded_amount(exact)
    assert amount == Decimal(expected)
    assert -400 < int(amount.as_tuple().exponent) < 16, "the driver takes no exponent of any size"


@pytest.mark.parametrize(
    "value",
    [" 1", "1 ", "0x1", "1_0", "١", "NaN", "Infinity", "-", "1e", ".", True, [1], {}, 10**15, "1e15", "999999999999999.9999995",
     "1e9999999", "-1e9999999", "1e99999999999999999999", "1e-99999999999999999999", "0" * 65,
     Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999999")],
)  # fmt: skip
def test_what_is_no_amount(value: Any) -> None:
    """A value beyond the column or a non-number is a ValueError, for exponents of any size."""
    with pytest.raises(ValueError):
        parse_amount(value)


def test_no_amount_is_none() -> None:
    """Absent, null and the empty text mean the same."""
    assert parse_amount(None) is None
    assert parse_amount("") is None
