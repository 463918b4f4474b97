"""The load of `load.py` as mixed as real traffic: texts of several languages, escapes, odd URLs, the gateway's headers."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bench.rig import load
from schemas.instants import now_ms
from schemas.kafka import headers as names
from schemas.kafka.gateway_proof import DEVELOPMENT_KEY, ProofKeys
from schemas.pipeline.sender import Sender

UNUSUAL = 0.2
"""The share of events with texts that are not ASCII, or have escapes."""
STAMPED = 0.5
"""The share of events that a gateway has published."""

Headers = tuple[tuple[str, bytes | None], ...]
Record = tuple[bytes, bytes, Headers]
"""Key, value and headers."""
KEYS = ProofKeys([DEVELOPMENT_KEY])

_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "shop-app/4.2 (Android 14)",
)
_URLS = (
    "https://shop{site}.example.com/p/{index}?utm_source=search&utm_medium=cpc&id={index}#top",
    "https://shop{site}.example.de/gr%C3%B6%C3%9Fen/?utm_source=brief&utm_campaign=sommer%20aktion+{index}",
    "https://shop{site}.example.com/",
    "https://www.shop{site}.example.co.uk:8443/a/b/c.html?q={index}",
)
_ODD_URLS = (
    "https://shop{site}.example.jp/商品/{index}?utm_campaign=夏",
    "https://Shop{site}.Example.com/a/../b?x='{index}'",
    "https://bücher{site}.example/",
)
_LABELS = ("größe M", "日本語のラベル", 'a "quoted" label', "line\nbreak\ttab", "😀", "путь", "C:\\path")


def records(
    count: int, seed: int, *, start_ms: int | None = None, earlier: Sequence[load.Identity] = ()
) -> Iterator[Record]:
    """Yield `count` raw events; the ids' times begin at `start_ms`, or now.

    Duplicates are those of `load.events`. All copies of an event come from one sender, so that each is a duplicate for
    every contestant.
    """
    rng = random.Random(seed)
    start_ms = now_ms() if start_ms is None else start_ms
    for index, (key, event) in enumerate(load.events(count, seed, start_ms, earlier)):
        if event is None:
            yield key, load.broken(key), ()
            continue
        sender = _sender(event["event_id"])
        site = event["site_id"]
        value = _encoded(_changed(event, index, rng, stamped=sender is not Sender.DIRECT), rng)
        yield key, value, () if sender is Sender.DIRECT else _headers(site, sender, value, rng)


def _sender(event_id: str) -> Sender:
    chosen = int(event_id[-2:], 16) / 256
    if chosen >= STAMPED:
        return Sender.DIRECT
    return Sender.VISITOR if chosen < STAMPED / 2 else Sender.SERVER


def _changed(event: dict[str, Any], index: int, rng: random.Random, *, stamped: bool) -> dict[str, Any]:
    unusual = rng.random() < UNUSUAL
    urls = _ODD_URLS if unusual and rng.random() < 0.3 else _URLS
    event["url"] = rng.choice(urls).format(site=event["site_id"], index=index)
    event["user_agent"] = rng.choice(_AGENTS)
    if unusual:
        event["properties"]["label"] = rng.choice(_LABELS)
    if "value" in event and rng.random() < 0.3:
        event["value"] = f"{event['value']:.2f}"
    if rng.random() < 0.05:
        event["experiment"] = {"name": "checkout", "group": index % 2}
    if rng.random() < 0.05:
        event["page"] = {"url": event.pop("url"), "referrer": event.pop("referrer"), "title": "A page"}
        event["schema_version"] = 2
        if "value" in event:
            event["amount"] = event.pop("value")
    if stamped:
        # The gateway knows it from the key.
        del event["script_id"]
    return event


def _encoded(event: dict[str, Any], rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return msgspec.json.encode(event)
    text = msgspec.json.encode(event).decode()
    # Most libraries escape what is not ASCII.
    return "".join(mark if mark.isascii() else _escape(mark) for mark in text).encode()


def _escape(mark: str) -> str:
    pairs = mark.encode("utf-16-be").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))


def _headers(site: int, sender: Sender, value: bytes, rng: random.Random) -> Headers:
    script = load.script_of(site)
    origin = f"https://shop{site}.example.com" if sender is Sender.VISITOR else None
    stated = [
        (names.RECEIVED_AT, str(now_ms())), (names.SITE_ID, str(site)), (names.SCRIPT_ID, script),
        (names.SENDER, sender.value), (names.ORIGIN, origin), (names.REQUEST_ID, f"{rng.getrandbits(128):032x}"),
        (names.TRACEPARENT, f"00-{rng.getrandbits(128):032x}-{rng.getrandbits(64):016x}-00"),
    ]  # fmt: skip
    proof = KEYS.seal(site, script, sender, origin).proof(b"", value)
    return (*((name, text.encode()) for name, text in stated if text), (names.PROOF, proof))
