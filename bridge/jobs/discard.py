"""`bridge dlq discard` as a job: closes dead letters that will not be replayed, and records who, when and why."""

from collections.abc import Sequence
from contextlib import aclosing

from bridge.dead_letters.sent_again import sent_again
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition
from schemas.documents.run_summary import DiscardSummary
from schemas.errors import InvalidInput
from schemas.pipeline.record import Provenance
from schemas.pipeline.registry import Registry
from sinks.postgres.dead_letters.discard import discard, not_dropped
from sinks.postgres.dead_letters.letter import Whose
from sinks.postgres.dead_letters.pages import count
from sinks.postgres.dead_letters.stream import whose
from sinks.postgres.registry.cache import RegistryCache


def discard_job(
    settings: Settings, chosen: DeadLetterFilter, reason: str, *, persisted: bool = False
) -> Job[DiscardSummary]:
    """Return the job that discards the open dead letters that match the filter: they will not be replayed.

    If `persisted` is True, the job discards only dead letters whose events are persisted because their producers sent
    the events again. After an interruption, run the same command again: the job discards the remaining dead letters.
    """

    async def work(run: Run[DiscardSummary]) -> None:
        run.summary.reason = reason
        run.summary.persisted = persisted
        run.summary.filter = chosen.model_dump(mode="json", exclude_none=True)
        await _check_places(settings, chosen)
        found = await count(settings.dsn, chosen.model_copy(update={"disposition": None}))
        run.summary.left = {
            one.value: found[one] for one in Disposition if one is not Disposition.OPEN and one in found
        }
        with run.target("dead letters"):
            if run.dry_run and not persisted:
                run.summary.processed_total = found.get(Disposition.OPEN, 0)
                return
            # The work below can be interrupted at any moment, so the run is recorded first.
            if found.get(Disposition.OPEN) and not run.dry_run:
                await run.begins()
            registry = (await RegistryCache.loaded(settings)).current if persisted else {}
            only_open = chosen.model_copy(update={"disposition": (Disposition.OPEN,)})
            async with aclosing(whose(settings.dsn, only_open, run.share)) as pieces:
                async for piece in pieces:
                    run.check_lock()
                    meant = await _persisted(run, settings, registry, piece) if persisted else piece
                    if run.dry_run:
                        run.summary.processed_total += len(meant)
                        continue
                    # The count may have found no open dead letter: these were dropped after it.
                    await run.begins()
                    places = [one.provenance for one in meant]
                    done = await discard(settings.dsn, places, run.summary.run_id, sent_again=persisted)
                    run.summary.processed_total += done
                    if missed := len(meant) - done:
                        run.summary.warnings.append(
                            f"{missed} dead letters were claimed or discarded by another run meanwhile"
                        )

    return Job("dlq-discard", DiscardSummary, work, service=Service.API, quiet=True)


async def _persisted(
    run: Run[DiscardSummary], settings: Settings, registry: Registry, piece: Sequence[Whose]
) -> list[Whose]:
    """Return those of these dead letters whose events are persisted, and count the other dead letters as left open."""
    persisted, unidentified = await sent_again(settings.dsn, registry, piece, run.share)
    run.summary.unidentified += unidentified
    if others := len(piece) - len(persisted):
        run.summary.left[Disposition.OPEN.value] = run.summary.left.get(Disposition.OPEN.value, 0) + others
    return persisted


async def _check_places(settings: Settings, chosen: DeadLetterFilter) -> None:
    """Check each dead letter that the filter names; raises InvalidInput if one of them does not exist."""
    named = [Provenance.parse(one) for one in chosen.provenance or ()]
    if missing := await not_dropped(settings.dsn, named):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InvalidInput(f"no dead letter in the ledger: {missing[0]}{more}; see `bridge dlq list`")
