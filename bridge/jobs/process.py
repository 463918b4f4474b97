"""`bridge process` as a job: commits due retries and records that no worker reads, then applies the gate.

The gate is the rule that fails a run with too many dropped or retried events.
"""

import random
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.gate import RunLimits
from schemas.documents.run_summary import ProcessSummary
from schemas.errors import BridgeError
from schemas.pipeline.ledger import Scope, Waiting
from sinks.kafka.admin import group_has_members, log_bounds
from sinks.kafka.publisher import publishing
from sinks.ports import CommitResult, Publisher
from sinks.postgres.dry_run_sink import DryRunSink, SilentPublisher
from sinks.postgres.registry.cache import RegistryCache
from sinks.postgres.sink import PostgresSink
from streams.batch_run import OneShot, RawTopicReader
from streams.pipeline.normalize import bounds_of
from streams.pipeline.trust import GatewayTrust
from streams.rules.breaker import BreakerJudge
from streams.rules.gate import judge_run
from streams.rules.retry_policy import retry_policy
from streams.source.kafka import taking
from streams.worker.committer import BatchCommitter


@dataclass(frozen=True)
class ProcessOptions:
    """Options of `bridge process`: sites, most events per round, number of rounds, and the limits of the gate.

    The gate fails a run in which too large a share of events was dropped or retried.
    """

    scope: Scope
    limit: int
    rounds: int
    limits: RunLimits


def process_job(settings: Settings, options: ProcessOptions) -> Job[ProcessSummary]:
    """Return the job of `bridge process` with these options."""

    async def work(run: Run[ProcessSummary]) -> None:
        async with AsyncExitStack() as stack:
            await (await _Process.opened(settings, options, run, stack)).rounds()

    def conclude(run: Run[ProcessSummary]) -> None:
        summary = run.summary
        if not (run.finished or summary.processed_total):
            return
        summary.gate = judge_run(
            processed=summary.processed_total,
            retried=summary.retried_total,
            dropped=summary.dropped_total,
            limits=options.limits,
            by_reason=summary.dropped_by_reason,
        )
        if not summary.gate.passed:
            run.alarm = "the gate failed: " + "; ".join(summary.gate.reasons)

    return Job("process", ProcessSummary, work, conclude, service=Service.WORKER)


@dataclass
class _Process:
    options: ProcessOptions
    run: Run[ProcessSummary]
    one_shot: OneShot
    backlog: RawTopicReader | None

    @classmethod
    async def opened(
        cls, settings: Settings, options: ProcessOptions, run: Run[ProcessSummary], stack: AsyncExitStack
    ) -> "_Process":
        """Connect to the services that the run needs, until the end of `stack`.

        Raises PreconditionFailed or SinkUnavailable if one is unreachable.
        """
        registry = await RegistryCache.loaded(settings)
        make_sink = DryRunSink if run.dry_run else PostgresSink
        sink = make_sink(settings.dsn, settings.group, lock_timeout=settings.lock_timeout.seconds)
        stack.push_async_callback(sink.close)
        publisher: Publisher = SilentPublisher()
        if not run.dry_run:
            publisher = await stack.enter_async_context(publishing(settings))
        backlog: RawTopicReader | None = None
        if options.scope != Scope():
            run.summary.warnings.append(
                "only waiting retries were processed: the raw topic can't be read for one site or organisation"
            )
        elif await group_has_members(settings):
            run.summary.warnings.append("only waiting retries were processed: a worker reads the raw topic")
        else:
            partitions = sorted(await log_bounds(settings, [settings.topics.raw]))
            for one in registry.paused_partitions.keys() & set(partitions):
                partitions.remove(one)
                run.summary.warnings.append(
                    f"{one.topic}:{one.partition} was not read: {registry.paused_partitions[one]}"
                )
            source = await stack.enter_async_context(taking(settings, partitions))
            backlog = RawTopicReader(source, sink, partitions)
        brake = BreakerJudge(settings.brake_limits, time.monotonic, registry.owner_of)
        proof_keys = settings.proof_keys
        one_shot = OneShot(
            lambda: registry.current, lambda: GatewayTrust(proof_keys, registry.legacy_until_ms),
            retry_policy(settings, random.random), bounds_of(settings), settings.topics.raw, sink,
            BatchCommitter(sink, publisher, brake), native=settings.native_reader,
        )  # fmt: skip
        return cls(options, run, one_shot, backlog)

    async def rounds(self) -> None:
        """Process rounds, each of at most `limit` events, until a round finds no event or all rounds are done."""
        if self.backlog is not None:
            await self.backlog.begin()
        for _ in range(self.options.rounds):
            taken = await self._waiting(self.options.limit)
            if taken < self.options.limit:
                taken += await self._raw(self.options.limit - taken)
            if not taken:
                return
            self.run.summary.rounds_total += 1

    async def _waiting(self, limit: int) -> int:
        one_shot = self.one_shot
        due = await one_shot.sink.due(one_shot.now_ms(), self.options.scope, limit)
        by_site: dict[int | None, list[Waiting]] = defaultdict(list)
        for one in due:
            by_site[one.site_id].append(one)
        for site_id, waiting in by_site.items():
            with self.run.target("site:unknown" if site_id is None else f"site:{site_id}"):
                self._count(await one_shot.settle_waiting(waiting))
        return len(due)

    async def _raw(self, limit: int) -> int:
        if self.backlog is None:
            return 0
        taken = 0
        while taken < limit and (batches := await self.backlog.read(limit - taken)):
            for batch in batches:
                with self.run.target(f"{batch.source.topic}:{batch.source.partition}"):
                    try:
                        self._count(await self.one_shot.settle_raw([batch]))
                    except BridgeError:
                        self.backlog.leave(batch.source)
                        raise
                    if not self.run.dry_run:
                        await self.backlog.tell_kafka(batch)
            taken += sum(len(batch.records) for batch in batches)
        return taken

    def _count(self, committed: CommitResult) -> None:
        summary, tally = self.run.summary, committed.tally
        summary.processed_total += tally.processed
        summary.normalized_total += tally.normalized
        summary.retried_total += tally.retried
        summary.dropped_total += tally.dropped
        summary.stale_total += tally.stale
        reasons = Counter(one.dropped_reason.value for one in committed.failures if one.dropped_reason is not None)
        summary.dropped_by_reason = dict(Counter(summary.dropped_by_reason) + reasons)
