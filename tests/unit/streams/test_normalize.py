"""From fields to a clean event: aliases, times, URLs, campaigns, money, registry."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.making import BOUNDS, NOW_MS, REGISTRY, body

from schemas.bridge_event import BridgeEvent
from schemas.raw_event import MAX_HOST
from schemas.reasons import ErrorClass
from schemas.record import Provenance
from streams.decode import decode
from streams.normalize import canonical_type, normalize
from streams.rejection import Rejection

RECEIVED = datetime.fromtimestamp(NOW_MS / 1000, UTC)
ORIGIN = Provenance("t.raw", 1, 2)


def normalized(**changed: Any) -> BridgeEvent:
    return normalize(
        decode(body(**changed), None),
        received_at=RECEIVED, provenance=ORIGIN, attempt=1, registry=REGISTRY, bounds=BOUNDS,
    )  # fmt: skip


def rejection(**changed: Any) -> Rejection:
    with pytest.raises(Rejection) as caught:
        normalized(**changed)
    return caught.value


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("pageview", "page_view"), ("Page-View", "page_view"), (" CLICKED ", "click"), ("formSubmit", "form_submit"),
     ("order completed", "purchase"), ("Checkout-Completed", "purchase"), ("Add To Cart", "add_to_cart"), ("__", "__"),
     ("ÉTÉ", "été")],
)  # fmt: skip
def test_event_types_have_one_name(given: str, canonical: str) -> None:
    """Aliases resolved, others in lower case with underscores; never empty."""
    assert canonical_type(given) == canonical


def test_every_field_arrives() -> None:
    """With the organisation of the registry, the provenance and the attempt."""
    event = normalized(session_id="s", visitor_id="v", user_agent="u", properties={"a": 1}, schema_version=1)
    assert (event.org_id, event.script_id, event.site_id, event.event_id) == (10, "shop", 1, "e-1")
    assert (event.session_id, event.visitor_id, event.user_agent) == ("s", "v", "u")
    assert (event.provenance, event.attempt, event.properties) == (ORIGIN, 1, '{"a": 1}')
    assert (event.received_at, event.occurred_at) == (RECEIVED, RECEIVED)


def test_empty_texts_are_absent() -> None:
    """An empty text says nothing; properties are an object all the same."""
    event = normalized(session_id="", visitor_id="", user_agent="", url="", referrer="")
    assert (event.session_id, event.visitor_id, event.user_agent, event.url, event.referrer) == (None,) * 5
    assert event.properties == "{}"


def test_the_clients_clock_is_corrected() -> None:
    """received_at - (sent_at - occurred_at): a clock that is years off does no harm."""
    event = normalized(occurred_at="2001-01-01T00:00:00Z", sent_at="2001-01-01T00:00:05Z")
    assert event.occurred_at == RECEIVED - timedelta(seconds=5)
    assert event.sent_at == datetime(2001, 1, 1, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shift_ms", "passes"), [(-7 * 86400_000, True), (-7 * 86400_000 - 1, False), (3600_000, True), (3600_001, False)]
)
def test_the_bounds_of_occurred_at(shift_ms: int, passes: bool) -> None:
    """From 7 days before to 1 hour after received_at, both included."""
    if passes:
        assert normalized(occurred_at=NOW_MS + shift_ms).occurred_at == RECEIVED + timedelta(milliseconds=shift_ms)
    else:
        assert "occurred_at: more than" in rejection(occurred_at=NOW_MS + shift_ms).message


def test_times_are_kept_in_utc() -> None:
    """Whatever the offset they came with."""
    event = normalized(occurred_at="2025-10-09T10:53:20+02:00")
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert event.occurred_at == RECEIVED


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"sent_at": "0001-01-01T00:00:00+14:00"}, "sent_at: out of range"),
        ({"occurred_at": NOW_MS, "sent_at": "9999-12-31T23:59:59-12:00"}, "sent_at: out of range"),
        ({"occurred_at": "9999-12-31T23:00:00Z", "sent_at": "9999-12-31T23:00:00Z"}, "sent_at: out of range"),
        ({"occurred_at": "1969-01-01T00:00:00Z", "sent_at": "1969-01-01T00:00:00Z"}, "sent_at: out of range"),
    ],
)
def test_times_beyond_all_reason_are_violations(changed: dict[str, Any], place: str) -> None:
    """Never an overflow, and never a year that can't be read back."""
    caught = rejection(**changed)
    assert caught.error_class is ErrorClass.SCHEMA_VIOLATION
    assert place in caught.message


@pytest.mark.parametrize("offset", ["+23:59", "-23:59", "+16:00", "+15:59", "+00:00"])
def test_any_offset_ends_as_utc(offset: str) -> None:
    """Postgres takes none of 16 hours and more."""
    sign = 1 if offset[0] == "+" else -1
    local = RECEIVED + sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[4:]))
    event = normalized(sent_at=f"{local:%Y-%m-%dT%H:%M:%S}{offset}")
    assert event.sent_at == RECEIVED.replace(microsecond=0)
    assert event.sent_at.utcoffset() == timedelta(0)


def test_urls_are_split_and_lose_their_fragment() -> None:
    """Host in lower case, path, and no fragment, not even an empty one."""
    event = normalized(url="HTTPS://Shop.Example.com:8443/a/b?x=1#top")
    assert (event.url, event.url_host, event.url_path) == (
        "https://shop.example.com:8443/a/b?x=1", "shop.example.com", "/a/b",
    )  # fmt: skip
    assert normalized(url="https://x.test/#").url == "https://x.test/"
    assert normalized(url="https://x.test/?q=%23#a#b").url == "https://x.test/?q=%23"
    assert normalized(url="https://bücher.test/ä").url_host == "xn--bcher-kva.test"


@pytest.mark.parametrize("url", ["/path", "example.com", "http://", "http://[", "http://a b/"])
def test_what_is_no_absolute_url_is_a_violation(url: str) -> None:
    """The field and what stood there are named."""
    caught = rejection(url=url)
    assert caught.error_class is ErrorClass.SCHEMA_VIOLATION
    assert caught.message.startswith("url: not an absolute URL")


def test_campaign_parameters() -> None:
    """Each utm_* by its name, the first value of each, in any order and among others."""
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
    """Percent-encoding and plus signs; what Postgres can't hold is replaced, not refused."""
    assert normalized(url=f"https://x.test/?{query}").utm_source == value


@given(st.text(st.sampled_from("%+=aé\\48cC3e9\x7f "), max_size=12), st.booleans())
def test_campaign_values_are_read_as_the_standard_library_reads_them(value: str, named_before: bool) -> None:
    """Half escapes, bytes that are no UTF-8, backslashes; the first one counts, and an empty one is none."""
    query = f"utm_term={value}" if named_before else f"a=utm_term=x&utm_term=&utm_term={value}&utm_term=later"
    event = normalized(url=f"https://x.test/?{query}")
    sent = (event.url or "").partition("?")[2]
    expected = dict(reversed(parse_qsl(sent))).get("utm_term")
    assert event.utm_term == (None if expected is None else expected.replace("\0", "\ufffd"))


@pytest.mark.parametrize("scheme", ["http:", "HTTPS://", "wss:\\\\", "ftp:///", "file://", "  http://", "ht\ttp:"])
def test_a_host_has_a_bound(scheme: str) -> None:
    """With the user's name before it; in whatever way an address is written."""
    for count in (MAX_HOST, MAX_HOST + 1):
        host = "a" * count if "file" in scheme else ("u@" + "a" * (count - 2))
        if count == MAX_HOST:
            assert normalized(url=f"{scheme}{host}/").url_host == host.removeprefix("u@")
            assert normalized(referrer=f"http://{host}/").referrer_host == host.removeprefix("u@")
        else:
            assert rejection(url=f"{scheme}{host}/").message == "url: its host is longer than 1024 characters"
            assert normalized(referrer=f"http://{host}/").referrer_host is None


def test_other_parts_of_an_address_may_be_long() -> None:
    """Paths, queries, fragments, and what has no host."""
    for url in (f"http://x/{'a' * 2000}", f"http://x?{'a' * 2000}", f"data:{'a' * 2000}", f"file:///{'a' * 2000}"):
        assert normalized(url=url).url == url.replace("x?", "x/?")


def test_a_fragment_is_no_campaign() -> None:
    """Only the query counts."""
    assert normalized(url="https://x.test/#?utm_source=a").utm_source is None


@pytest.mark.parametrize(
    ("referrer", "host"),
    [("https://www.google.com/search?q=x", "www.google.com"), ("https://WWW.Google.com", "www.google.com"),
     ("android-app://com.x", "com.x"), ("no url", None), ("https://[", None), ("/", None), ("https://a.test?x=/", "a.test")],
)  # fmt: skip
def test_the_referrers_host(referrer: str, host: str | None) -> None:
    """Where it has one; a referrer that is no URL is kept and harms nothing."""
    event = normalized(referrer=referrer)
    assert (event.referrer, event.referrer_host) == (referrer, host)


@pytest.mark.parametrize(
    ("value", "amount"), [(12, "12"), ("12.50", "12.50"), (0.1, "0.1"), ("1e3", "1000"), (-1, "-1"), (None, None)]
)
def test_money(value: Any, amount: str | None) -> None:
    """A decimal from a number or its text, exactly."""
    found = normalized(value=value).value
    assert found == (None if amount is None else Decimal(amount))


def test_currencies_are_of_iso_4217_in_upper_case() -> None:
    """Any other code is a violation that shows what stood there."""
    assert normalized(currency="eur").currency == "EUR"
    assert "currency: 'XQZ' is not an ISO 4217 code" in rejection(currency="XQZ").message


@pytest.mark.parametrize(
    ("value", "message"),
    [(10**15, "15 digits"), ("0.0000001", "6 digits"), ("1e9999999", "15 digits"), ("x", "a number")],
)
def test_amounts_that_the_column_cannot_hold(value: Any, message: str) -> None:
    """A violation, never an overflow."""
    caught = rejection(value=value)
    assert caught.error_class is ErrorClass.SCHEMA_VIOLATION
    assert message in caught.message


@pytest.mark.parametrize(("script", "state"), [("nowhere", "not registered"), ("off", "disabled")])
def test_a_script_that_is_not_there_yet(script: str, state: str) -> None:
    """It retries: registering it heals the event."""
    caught = rejection(script_id=script)
    assert caught.error_class is ErrorClass.UNKNOWN_SCRIPT
    assert state in caught.message


def test_a_script_of_another_site_is_a_violation() -> None:
    """Nobody writes into a site that is not theirs."""
    caught = rejection(site_id=2)
    assert caught.error_class is ErrorClass.SCHEMA_VIOLATION
    assert caught.message == "site_id: script 'shop' is not of site 2"
    assert caught.identity is not None
    assert (caught.identity.site_id, caught.identity.event_id) == (2, "e-1")
