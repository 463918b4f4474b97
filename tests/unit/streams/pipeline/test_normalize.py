"""Normalising fields to a clean event: aliases, times, URLs, campaigns, money, registry."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.events.making import BOUNDS, NOW_MS, REGISTRY, body

from schemas.events.bridge_event import BridgeEvent
from schemas.events.event_types import ALIASES
from schemas.pipeline.record import Provenance
from schemas.reasons import ErrorClass
from streams.pipeline.normalize import Bounds
from streams.pipeline.reading import read_event
from streams.pipeline.rejection import Rejection

RECEIVED = datetime.fromtimestamp(NOW_MS / 1000, UTC)
ORIGIN = Provenance("t.raw", 1, 2)


def normalized(bounds: Bounds = BOUNDS, **changed: Any) -> BridgeEvent:
    return read_event(body(**changed), None, RECEIVED, ORIGIN, REGISTRY, bounds)


def rejection(**changed: Any) -> Rejection:
    with pytest.raises(Rejection) as caught:
        normalized(**changed)
    return caught.value


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("pageview", "page_view"), ("Page-View", "page_view"), (" CLICKED ", "click"), ("formSubmit", "form_submit"),
     ("order completed", "purchase"), ("Checkout-Completed", "purchase"), ("Add To Cart", "add_to_cart"), ("__", "__"),
     ("addToCart", "add_to_cart"), ("AddToCart", "add_to_cart"), ("add-to-cart", "add_to_cart"), ("ADD_TO_CART", "add_to_cart"),
     ("HTMLLoaded", "html_loaded"), ("signupV2", "signup_v2"), ("orderCompleted", "purchase"), ("order.created", "order.created"),
     ("ÉTÉ", "été")],
)  # fmt: skip
def test_event_types_have_one_name(given: str, canonical: str) -> None:
    """Aliases are resolved, others become lower case with underscores, and the original is kept if it differs."""
    event = normalized(event_type=given)
    assert event.event_type == canonical
    assert json.loads(event.original or "{}").get("event_type") == (None if given == canonical else given)


def test_aliases_can_be_switched_off() -> None:
    """Without aliases `order` stays `order`, in one spelling."""
    bounds = BOUNDS._replace(aliases=False)
    assert normalized(bounds, event_type="Order").event_type == "order"
    assert normalized(bounds, event_type="pageView").event_type == "page_view"
    assert normalized(bounds, event_type="view").original is None


def test_aliases_are_the_names_that_the_page_lists() -> None:
    page = (Path(__file__).parents[4] / "docs/producers/what-becomes-of-an-event.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", page, re.MULTILINE)
    assert {alias: name for name, aliases in rows for alias in re.findall(r"\w+", aliases)} == ALIASES


def test_a_plain_event_has_nothing_original() -> None:
    """Differences in form alone (offsets, letter case, zeros, empty texts) store no original."""
    assert normalized(url="HTTPS://X.test#a", currency="eur", value="1.50", session_id="").original is None
    assert normalized(occurred_at="2025-10-09T10:53:20+02:00", value="1.10000000").original is None


def test_every_field_arrives() -> None:
    """The event has the registry's organisation, the provenance and the attempt."""
    event = normalized(session_id="s", visitor_id="v", user_agent="u", properties={"a": 1}, schema_version=1)
    assert (event.org_id, event.script_id, event.site_id, event.event_id) == (10, "shop", 1, "e-1")
    assert (event.session_id, event.visitor_id, event.user_agent) == ("s", "v", "u")
    assert (event.provenance, event.attempt, event.properties) == (ORIGIN, 1, '{"a": 1}')
    assert (event.received_at, event.occurred_at) == (RECEIVED, RECEIVED)


def test_empty_texts_are_absent() -> None:
    """An empty text is absent; properties are an object in any case."""
    event = normalized(session_id="", visitor_id="", user_agent="", url="", referrer="")
    assert (event.session_id, event.visitor_id, event.user_agent, event.url, event.referrer) == (None,) * 5
    assert event.properties == normalized(properties=[]).properties == "{}"


SECONDS = {"m": 60, "h": 3600, "s": 1}


@pytest.mark.parametrize(
    ("occurred", "sent", "stored"),
    [
        # before now: as stated, as sent, and as stored
        ("10m", "9m", "60s"), ("-50m", "-51m", "60s"), ("30h", "20h", "10h"), ("24h", "24h", "0s"), ("-23h", "-24h", "1h"),
        ("9s", "5s", None), ("9s", "-5s", None), ("10s", "10s", None), ("11s", "11s", "0s"), ("1h", "9s", None),
        ("30m", "86401s", None), ("160h", "100h", None), ("0s", "-86401s", None),
        # the clock was set back in between
        ("0s", "30m", "0s"), ("0s", "3h", "0s"), ("5m", "6m", "0s"),
    ],
)  # fmt: skip
def test_a_wrong_clock_is_corrected_within_bounds(occurred: str, sent: str, stored: str | None) -> None:
    """If sent_at is over 10 s and at most 24 h off, the result is received_at - (sent_at - occurred_at).

    It is never after received_at.
    """
    stated, sent_at, expected = (
        RECEIVED - timedelta(seconds=int(text[:-1]) * SECONDS[text[-1]])
        for text in (occurred, sent, stored or occurred)
    )
    event = normalized(occurred_at=stated.isoformat(), sent_at=sent_at.isoformat())
    assert (event.occurred_at, event.sent_at) == (expected, sent_at)
    kept = None if stored is None else f'{{"occurred_at":"{stated:%Y-%m-%dT%H:%M:%S}Z"}}'
    assert event.original == kept


def test_age_is_judged_by_what_the_producer_stated() -> None:
    """An old event that is sent late with its first sent_at is too old with and without the clock correction."""
    old = {"occurred_at": NOW_MS - 30 * 86400_000}
    for sent in (..., NOW_MS - 30 * 86400_000 + 5000, NOW_MS - 3600_000):
        assert rejection(**old, sent_at=sent).message == (
            "occurred_at: 2025-09-09T08:53:20Z is more than 168h before it was received"
        )


def test_corrections_can_be_switched_off() -> None:
    """A limit of zero disables the corrections of times."""
    event = normalized(BOUNDS._replace(max_skew=timedelta(0)), occurred_at=NOW_MS - 60_000, sent_at=NOW_MS - 60_000)
    assert (event.occurred_at, event.original) == (RECEIVED - timedelta(minutes=1), None)


@pytest.mark.parametrize(
    ("factor", "unit"), [(1000, "seconds"), (1 / 1000, "microseconds"), (1 / 10**6, "nanoseconds")]
)
def test_another_unit_is_named(factor: float, unit: str) -> None:
    """The message names the unit in which the number is a recent time."""
    value = int(NOW_MS / factor)
    assert rejection(occurred_at=value).message == f"occurred_at: {value} looks like {unit}; milliseconds are meant"


def test_all_changes_are_kept_together() -> None:
    """One object holds the original type, time and amount."""
    event = normalized(
        event_type="Order", occurred_at=NOW_MS - 60_000, sent_at=NOW_MS - 60_000, value=836.9999999999998
    )
    assert json.loads(event.original or "") == {
        "event_type": "Order", "occurred_at": "2025-10-09T08:52:20Z", "value": "836.9999999999998",
    }  # fmt: skip
    assert event.value == Decimal(837)


def test_every_violation_is_listed_once() -> None:
    """The list has the contract's violations and those of the clock, the registry and the currencies."""
    assert rejection(occurred_at=NOW_MS // 1000, currency="EURO", site_id=2).message == (
        "site_id: script 'shop' is not of site 2; occurred_at: 1760000000 looks like seconds; milliseconds are meant; "
        "currency: 'EURO' is not an ISO currency code, such as EUR"
    )
    caught = rejection(event_type=..., occurred_at=NOW_MS // 1000, currency="O'", properties=[1], user_agent="\x00")
    assert list(caught.violations) == [
        "user_agent: holds a NUL",
        "event_type: is required",
        "properties: must be an object, not an array",
        "occurred_at: 1760000000 looks like seconds; milliseconds are meant",
        "currency: 'O’' is not an ISO currency code, such as EUR",
    ]
    assert [text.partition(":")[0] for text in rejection(occurred_at=True, currency="X").violations] == [
        "occurred_at",
        "currency",
    ]


@pytest.mark.parametrize(
    ("shift_ms", "passes"), [(-7 * 86400_000, True), (-7 * 86400_000 - 1, False), (3600_000, True), (3600_001, False)]
)
def test_the_bounds_of_occurred_at(shift_ms: int, passes: bool) -> None:
    """The limits are 7 days before and 1 hour after received_at, both included."""
    if passes:
        assert normalized(occurred_at=NOW_MS + shift_ms).occurred_at == RECEIVED + timedelta(milliseconds=shift_ms)
    else:
        assert "is more than" in rejection(occurred_at=NOW_MS + shift_ms).message


def test_times_are_kept_in_utc() -> None:
    """A time with any offset is stored in UTC."""
    event = normalized(occurred_at="2025-10-09T10:53:20+02:00")
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert event.occurred_at == RECEIVED


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"sent_at": "0001-01-01T00:00:00+14:00"}, "sent_at: 0001-01-01 00:00:00+14:00 is out of range"),
        ({"occurred_at": NOW_MS, "sent_at": "9999-12-31T23:59:59-12:00"}, "is out of range"),
        ({"sent_at": "9999-12-31T23:00:00Z"}, "sent_at: 9999-12-31T23:00:00Z is out of range"),
        ({"sent_at": "1969-01-01T00:00:00Z"}, "sent_at: 1969-01-01T00:00:00Z is out of range"),
    ],
)
def test_times_beyond_all_reason_are_violations(changed: dict[str, Any], place: str) -> None:
    """Such a time never overflows and never becomes a year that cannot be read back."""
    caught = rejection(**changed)
    assert caught.error_class is ErrorClass.SCHEMA_VIOLATION
    assert place in caught.message


@pytest.mark.parametrize("offset", ["+23:59", "-23:59", "+16:00", "+15:59", "+00:00"])
def test_any_offset_ends_as_utc(offset: str) -> None:
    """Postgres refuses offsets of 16 hours and more."""
    sign = 1 if offset[0] == "+" else -1
    local = RECEIVED + sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[4:]))
    event = normalized(sent_at=f"{local:%Y-%m-%dT%H:%M:%S}{offset}")
    assert event.sent_at == RECEIVED.replace(microsecond=0)
    assert event.sent_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(("count", "path"), [(512, True), (513, False)])
def test_a_url_that_escapes_make_much_longer_keeps_its_text(count: int, path: bool) -> None:
    """Each escaped character becomes three, and the path is stored twice."""
    url = f"https://shop.test/{' ' * count}x?utm_source=mail"
    event = normalized(url=url)

    escaped = f"/{'%20' * count}x"
    assert event.url == (f"https://shop.test{escaped}?utm_source=mail" if path else url)
    assert (event.url_host, event.url_path) == ("shop.test", escaped if path else None)
    assert event.utm_source == "mail"


def test_urls_are_split_and_lose_their_fragment() -> None:
    """The host is in lower case, the path is kept, and no fragment remains, not even an empty one."""
    event = normalized(url="HTTPS://Shop.Example.com:8443/a/b?x=1#top")
    assert (event.url, event.url_host, event.url_path) == (
        "https://shop.example.com:8443/a/b?x=1", "shop.example.com", "/a/b",
    )  # fmt: skip
    assert normalized(url="https://x.test/#").url == "https://x.test/"
    assert normalized(url="https://x.test/?q=%23#a#b").url == "https://x.test/?q=%23"
    assert normalized(url="https://bücher.test/ä").url_host == "xn--bcher-kva.test"


@pytest.mark.parametrize(
    "url", ["/path", "example.com", "http://", "http://[", "http://a b/", "undefined", "http://256.1.1.1/"]
)
def test_what_is_no_absolute_url_is_kept(url: str) -> None:
    """The text is kept without host, path and campaign, and so is a referrer."""
    event = normalized(url=f"{url}?utm_source=a", referrer=url)
    assert (event.url, event.url_host, event.url_path, event.utm_source) == (f"{url}?utm_source=a", None, None, None)
    assert (event.referrer, event.referrer_host) == (url, None)


def test_campaign_parameters() -> None:
    """Each utm_* parameter takes its first value, in any order and among others."""
    event = normalized(
        url="https://x.test/?utm_term=t&a=1&utm_source=google&utm_medium=cpc&utm_campaign=c&utm_content=x&utm_source=2"
    )
    assert (event.utm_source, event.utm_medium, event.utm_campaign, event.utm_term, event.utm_content) == (
        "google", "cpc", "c", "t", "x",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "value"),
    [("utm_source=a%20b", "a b"), ("utm_source=a+b", "a b"), ("utm_source=%C3%A9", "é"), ("utm_source=%00", "\ufffd"),
     ("utm_source=a%00b", "a\ufffdb"), ("utm_source=%FF", "\ufffd"), ("utm_source=%ED%A0%80", "\ufffd" * 3),
     ("utm_source=%", "%"), ("utm_source=%zz", "%zz"), ("utm_source=", None), ("utm_source", None),
     ("utm_source=&utm_source=b", "b"), ("utm_source=a%26b", "a&b"), ("utm_source=a=b", "a=b"), ("autm_source=x", None),
     ("utm_source=é", "é")],
)  # fmt: skip
def test_campaign_values_are_decoded_and_storable(query: str, value: str | None) -> None:
    """Percent and plus encoding are decoded; characters that Postgres refuses are replaced."""
    assert normalized(url=f"https://x.test/?{query}").utm_source == value


@given(st.text(st.sampled_from("%+=aé\\48cC3e9\x7f "), max_size=12), st.booleans())
def test_campaign_values_are_read_as_the_standard_library_reads_them(value: str, named_before: bool) -> None:
    """The cases are half escapes, invalid UTF-8, backslashes, repeated and empty values."""
    query = f"utm_term={value}" if named_before else f"a=utm_term=x&utm_term=&utm_term={value}&utm_term=later"
    event = normalized(url=f"https://x.test/?{query}")
    sent = (event.url or "").partition("?")[2]
    expected = dict(reversed(parse_qsl(sent))).get("utm_term")
    assert event.utm_term == (None if expected is None else expected.replace("\0", "\ufffd"))


def test_a_fragment_is_no_campaign() -> None:
    """Only the query counts."""
    assert normalized(url="https://x.test/#?utm_source=a").utm_source is None


@pytest.mark.parametrize(
    ("referrer", "host"),
    [("https://www.google.com/search?q=x", "www.google.com"), ("https://WWW.Google.com", "www.google.com"),
     ("android-app://com.x", "com.x"), ("no url", None), ("https://[", None), ("/", None), ("https://a.test?x=/", "a.test")],
)  # fmt: skip
def test_the_referrers_host(referrer: str, host: str | None) -> None:
    """A referrer that is no URL is kept without a host."""
    event = normalized(referrer=referrer)
    assert (event.referrer, event.referrer_host) == (referrer, host)


@pytest.mark.parametrize(
    ("value", "amount"), [(12, "12"), ("12.50", "12.50"), (0.1, "0.1"), ("1e3", "1000"), (-1, "-1"), (None, None)]
)
def test_money(value: Any, amount: str | None) -> None:
    """A number or its text becomes an exact decimal."""
    found = normalized(value=value).value
    assert found == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    ("value", "amount"),
    [(836.9999999999998, "837"), (0.30000000000000004, "0.3"), (182.45000000000002, "182.45"), (5e-324, "0"),
     ("1.0000005", "1.000001"), ("-1.0000005", "-1.000001"), ("1.00000049", "1"), ("1e-9", "0")],
)  # fmt: skip
def test_decimals_beyond_the_column_are_rounded(value: Any, amount: str) -> None:
    """Halves round away from zero, as in Postgres; the original digits are kept."""
    event = normalized(value=value)
    assert event.value == Decimal(amount)
    assert Decimal(json.loads(event.original or "{}")["value"]) == Decimal(str(value))


def test_currencies_are_of_iso_4217_in_upper_case() -> None:
    """Any other code is a violation that quotes the original."""
    assert normalized(currency="eur").currency == "EUR"
    assert normalized(currency="").currency is None
    for wrong in ("XQZ", "EURO", "€", "E"):
        assert rejection(currency=wrong).message == f"currency: '{wrong}' is not an ISO currency code, such as EUR"


@pytest.mark.parametrize(
    ("value", "message"),
    [(10**15, "15 digits"), ("1e9999999", "15 digits"), ("x", "a number")],
)
def test_amounts_that_the_column_cannot_hold(value: Any, message: str) -> None:
    """Such an amount is a violation and never an overflow."""
    caught = rejection(value=value)
    assert caught.error_class is ErrorClass.SCHEMA_VIOLATION
    assert message in caught.message


@pytest.mark.parametrize(("script", "state"), [("nowhere", "not registered"), ("off", "disabled")])
def test_a_script_that_is_not_there_yet(script: str, state: str) -> None:
    """The event is retried, and registering the script heals it."""
    caught = rejection(script_id=script)
    assert caught.error_class is ErrorClass.UNKNOWN_SCRIPT
    assert state in caught.message


def test_a_script_of_another_site_is_a_violation() -> None:
    """A producer cannot write into another owner's site."""
    caught = rejection(site_id=2)
    assert caught.error_class is ErrorClass.SCHEMA_VIOLATION
    assert caught.message == "site_id: script 'shop' is not of site 2"
    assert caught.identity is not None
    assert (caught.identity.site_id, caught.identity.event_id) == (2, "e-1")
