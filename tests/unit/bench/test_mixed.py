"""The mixed load: shares of what real traffic is made of, and duplicates that are duplicates for every contestant."""

from collections import defaultdict

import msgspec

from bench.rig import mixed
from schemas.kafka.headers import SENDER

EVENTS = 20_000
EARLIER = [(1 + number % 50, f"01a00000-0000-7000-8000-{number:012x}") for number in range(5000)]


def test_load_has_the_stated_shares() -> None:
    made = list(mixed.records(EVENTS, 7, earlier=EARLIER))
    old = {f"{site}:{event_id}".encode() for site, event_id in EARLIER}
    keys = [key for key, _, _ in made]
    late = sum(key in old for key in keys)
    duplicates = EVENTS - len(set(keys) - old)
    shares = {
        "unusual": sum(not value.isascii() or b"\\" in value for _, value, _ in made),
        "stamped": sum(bool(headers) for *_, headers in made),
        "duplicates": duplicates,
        "late": late,
    }
    wanted = {"unusual": 0.2, "stamped": 0.5, "duplicates": 0.05, "late": 0.05 / 3}
    assert {name: round(count / EVENTS, 2) for name, count in shares.items()} == {
        name: round(share, 2) for name, share in wanted.items()
    }


def test_copies_of_an_event_have_one_sender() -> None:
    senders = defaultdict(set)
    for key, value, headers in mixed.records(EVENTS, 7, earlier=EARLIER):
        if value.endswith(b"}"):
            senders[key].add(dict(headers).get(SENDER))
            msgspec.json.decode(value)
    assert {len(found) for found in senders.values()} == {1}
