"""A bench for the circuit breaker's judge: it gets batches of the real processor."""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from schemas.pipeline.breaker import NOBODY, BreakerLimits, Passing
from schemas.pipeline.outcome import Candidate, Failure, Normalized, Outcomes
from schemas.pipeline.record import TopicPartition
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from streams.pipeline.processor import Context
from streams.rules.breaker import BreakerJudge
from support.events.making import BOUNDS, POLICY, RAW, batch, body, process, record
from support.events.sealed import TRUST, gateway_headers
from support.memory.source import MemoryRecord

LIMITS = BreakerLimits(Decimal(50), 100, 100, 60.0)
REGISTRY = {f"s{site}": Script(f"s{site}", site, None, enabled=True) for site in range(1, 30)}
GOOD, BAD, UNREADABLE, RETRIED = "good", "bad", "unreadable", "retried"
JUNK, FORGED = "a visitor's", "by its headers a visitor's"
BY_GATEWAY, BY_ITSELF = "unreadable, by a gateway", "a stranger's script"
NO_RETRIES = POLICY._replace(max_retries=0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Feeds the judge with processed batches; offsets of a partition continue from one batch to the next."""

    def __init__(self, limits: BreakerLimits = LIMITS, owners: Mapping[int, str] = MappingProxyType({})) -> None:
        """Map sites to organisations by `owners`; the other sites have none."""
        self.clock = Clock()
        self.judge = BreakerJudge(limits, self.clock, lambda site: owners.get(site, site))
        self.next: dict[int, int] = {}

    def outcomes(
        self, kinds: Iterable[tuple[int, str]], partition: int = 0, known: Any = frozenset(), policy: Any = POLICY
    ) -> Outcomes:
        """Process one record of each kind and site, and return as many of its results as `kinds` has.

        Thousands of records cost seconds, and the judge sees the same of each.
        """
        source = TopicPartition(RAW, partition)
        first, wanted = self.next.get(partition, 0), list(kinds)
        distinct = dict.fromkeys(wanted)
        records = [self._record(source, first + index, *one) for index, one in enumerate(distinct)]
        self.next[partition] = first + len(wanted)
        context = Context(records[0].timestamp, REGISTRY, known, {}, BOUNDS, policy, RAW, TRUST)
        found = process(batch(*records, prev=first, following=first + len(wanted)), context)
        by_offset = {one.attempt.record.offset: one for one in found.results()}
        results = dict(zip(distinct, (by_offset[one.offset] for one in records), strict=True))
        copies = [_at(first + index, results[kind]) for index, kind in enumerate(wanted)]
        found.candidates = [one for one in copies if not isinstance(one, Failure)]
        found.failures = [one for one in copies if isinstance(one, Failure)]
        return found

    def given_up(self, kinds: Iterable[tuple[int, str]], partition: int = 0) -> Outcomes:
        """Make the same outcomes as last attempts from a retry topic."""
        one = self.outcomes(kinds, partition + 100)
        for result in one.results():
            result.attempt.number = 4
        return one

    @staticmethod
    def _record(source: TopicPartition, offset: int, site: int, kind: str) -> MemoryRecord:
        event: dict[str, Any] = {"site_id": site, "script_id": f"s{site}", "event_id": f"e-{source.partition}-{offset}"}
        if kind in (BAD, JUNK, FORGED):
            event["event_type"] = ""
        if kind in (RETRIED, BY_ITSELF):
            event["script_id"] = "nobody"
        value = b"{" if kind in (UNREADABLE, BY_GATEWAY) else body(**event)
        key = f"{site}:e".encode() if site and kind not in (BY_GATEWAY, BY_ITSELF) else None
        headers: list[tuple[str, bytes | None]] = []
        if kind in (BY_GATEWAY, JUNK, FORGED):
            sender = Sender.SERVER if kind == BY_GATEWAY else Sender.VISITOR
            proven = b"another" if kind == FORGED else value
            headers = gateway_headers(proven, site_id=site, script_id=f"s{site}", sender=sender)
        return record(offset, value, source=source, key=key, headers=headers)

    def weigh(self, kinds: Iterable[tuple[int, str]], partition: int = 0, passing: Passing = NOBODY) -> bool:
        """Return whether the breaker trips; if not, the batch counts as committed."""
        outcomes = [self.outcomes(kinds, partition)]
        engages = self.judge.weigh(outcomes, passing) is not None
        if not engages:
            self.judge.committed(outcomes)
        return engages


def _at(offset: int, result: Candidate | Failure) -> Candidate | Failure:
    """Return the same result of a record at `offset`."""
    assert isinstance(result, Normalized | Failure)
    assert isinstance(result.attempt.record, MemoryRecord)
    one = copy(result)
    one.attempt = copy(result.attempt)
    one.attempt.record = replace(result.attempt.record, offset=offset)
    return one


def mixed(good: int, bad: int, sites: int = 10) -> list[tuple[int, str]]:
    """Make good and bad events, spread over that many sites."""
    return [(number % sites + 1, GOOD) for number in range(good)] + [(number % sites + 1, BAD) for number in range(bad)]
