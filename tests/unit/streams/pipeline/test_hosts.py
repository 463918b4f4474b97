"""Hosts of URLs: which hosts are split off and which exceed the limit."""

import unicodedata
from typing import Any

import can_ada
import pytest
from support.events.making import BOUNDS, NOW_MS, REGISTRY, body

from schemas.events.bridge_event import BridgeEvent
from schemas.events.raw_event import MAX_HOST
from schemas.instants import instant
from schemas.pipeline.record import Provenance
from streams.pipeline.reading import read_event


def normalized(**changed: Any) -> BridgeEvent:
    return read_event(body(**changed), None, instant(NOW_MS), Provenance("t.raw", 1, 2), REGISTRY, BOUNDS)


@pytest.mark.parametrize("scheme", ["http:", "HTTPS://", "wss:\\\\", "ftp:///", "file://", "  http://", "ht\ttp:"])
def test_a_host_has_a_bound(scheme: str) -> None:
    """The limit covers the user name before the host, in every spelling of a URL."""
    for count in (MAX_HOST, MAX_HOST + 1):
        host = "a" * count if "file" in scheme else ("u@" + "a" * (count - 2))
        if count == MAX_HOST:
            assert normalized(url=f"{scheme}{host}/").url_host == host.removeprefix("u@")
            assert normalized(referrer=f"http://{host}/").referrer_host == host.removeprefix("u@")
        else:
            kept = normalized(url=f"{scheme}{host}/")
            assert (kept.url, kept.url_host, kept.url_path) == (f"{scheme}{host}/", None, None)
            assert normalized(referrer=f"http://{host}/").referrer_host is None


@pytest.mark.parametrize(
    "host",
    ["例え.テスト", "bücher.example", "BÜCHER.example", "mañana。com", "ｅｘａｍｐｌｅ．com", "faß.de", "한국어.한국",
     unicodedata.normalize("NFD", "한국어.한국"), "президент.рф", "xn--bcher-kva.test", "b%C3%BCcher.test", "u:ü@bücher.test",
     ".".join(["ü" + "a" * 55] * 4), "ü" * 50 + ".test", "a" * 300, "a" * 300 + ".xn--bcher-kva"],
    ids=lambda host: ascii(host)[:24],
)  # fmt: skip
def test_a_host_beyond_ascii_is_kept_where_dns_can_hold_it(host: str) -> None:
    """The URL parser's form is kept; long ASCII hosts stay unchanged."""
    parsed = can_ada.parse(f"http://{host}/").hostname
    assert parsed
    assert normalized(url=f"http://{host}/").url_host == parsed
    assert normalized(referrer=f"http://{host}/").referrer_host == parsed


@pytest.mark.parametrize(
    "host",
    ["語" * 64, "a" * 63 + "ü", "㌖" * 11, "a" * 60 + "㌖", ".".join(["㌖" * 10] * 5), ".".join(["語" * 50] * 5), "語" * 64 + "。test", "語。" + "a" * 64,
     "%C3%BC" * 43, "u@" + "語" * 64, "語\t" * 64],
    ids=lambda host: ascii(host)[:24],
)  # fmt: skip
def test_a_host_beyond_ascii_has_the_bounds_of_dns(host: str) -> None:
    """A host has at most 253 characters and 63 per label, also in Unicode; a longer one stays text."""
    event = normalized(url=f"http://{host}/", referrer=f"http://{host}/")
    assert (event.url, event.url_host, event.url_path) == (f"http://{host}/", None, None)
    assert (event.referrer, event.referrer_host) == (f"http://{host}/", None)


def test_what_stands_beside_a_host_has_no_bound_of_dns() -> None:
    """Non-ASCII paths, queries and user names have no such limit."""
    for url in (
        f"http://x.test/{'語' * 300}",
        f"http://x.test?{'語' * 300}",
        f"http://{'語' * 300}@x.test/",
        f"x://{'語' * 300}/",
    ):
        assert normalized(url=url).url_host == can_ada.parse(url).hostname


def test_other_parts_of_an_address_may_be_long() -> None:
    """Paths, queries, fragments and URLs without a host may be long."""
    for url in (f"http://x/{'a' * 2000}", f"http://x?{'a' * 2000}", f"data:{'a' * 2000}", f"file:///{'a' * 2000}"):
        assert normalized(url=url).url == url.replace("x?", "x/?")
