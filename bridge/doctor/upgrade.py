"""`bridge doctor --upgrade`: what this release, and what the next release, refuses of an older installation."""

from collections.abc import Iterable, Sequence
from functools import partial

from bridge.doctor import kafka, settings
from bridge.doctor.check import Check, Finding, Findings, fail, ok, warn
from bridge.doctor.postgres import judge_catalogue
from schemas.config.overlap import ENDS_WITH
from schemas.config.service import Service
from schemas.config.settings import Settings
from sinks.postgres.schema.check import Differences, database_differences, privileges_to_come


def upgrade_checks(services: Sequence[Service]) -> tuple[Check, ...]:
    """Return the checks for these services; BRIDGE_DATABASE_URL contains the database account that they use."""
    asked = settings.checks(services[0] if len(services) == 1 else None)
    return (
        *(one for one in asked if one.name in ("environment", "variables")),
        Check("settings", "webhook", _webhook),
        Check("postgres", "schema", _schema, connects=True),
        *(one for one in kafka.CHECKS if one.name == "topics"),
        *(Check("accounts", service, partial(_account, service), connects=True) for service in services),
    )


async def _webhook(given: Settings) -> Findings:
    yield [judge_webhook(given)]


def judge_webhook(given: Settings) -> Finding:
    """Report webhooks that are still signed with the key that signs tokens; a later release ends this."""
    if given.worker_alert_webhook is None:
        return ok("webhook", "no webhook is called")
    if given.worker_alert_webhook_secret is not None:
        return ok("webhook", "a separate secret signs, as before")
    found = f"receivers verify with BRIDGE_SECRET_KEY, which only signs before {ENDS_WITH}"
    printed = "the secret that `bridge keys show webhook` prints"
    return warn("webhook", found, f"give them {printed}, and set BRIDGE_WORKER_ALERT_WEBHOOK_SECRET to it")


async def _schema(given: Settings) -> Findings:
    yield judge_upgrade(given, await database_differences(given.dsn, months_ahead=0))


def judge_upgrade(given: Settings, found: Differences) -> Iterable[Finding]:
    """Check that no migrations of the database schema are pending.

    Services refuse to start with pending migrations, except in development, where services apply them.
    """
    behind = [line.partition(";")[0] for line in found.schema if line.startswith("migration")]
    if not behind:
        yield from judge_catalogue(found)
    elif given.env == "development":
        yield ok("schema", f"{len(behind)} migrations are pending; the next start applies them")
    else:
        for line in behind:
            yield fail("schema", line, "run `bridge db migrate` of this release as the owner, before a service starts")


async def _account(service: Service, given: Settings) -> Findings:
    found = await database_differences(given.dsn, months_ahead=0, service=service)
    later = await privileges_to_come(given.dsn, service)
    yield judge_account(given, service, [*found.privileges, *later], found.excess)


def judge_account(
    given: Settings, service: Service, lacking: Sequence[str], excess: Sequence[str]
) -> Iterable[Finding]:
    """Judge the privileges of the service's database account: those it lacks, and those it must not have.

    This release refuses to start if some privileges are lacking. The next release also refuses excess privileges.
    """
    strict = given.env == "production" or given.strict_db_mode
    mend = f"as the owner, after `bridge db migrate`: `bridge db grants ROLE --service {service} --apply`"
    for line in lacking:
        yield (fail if strict else warn)(service, line, mend)
    for line in excess:
        yield warn(service, f"{line}; refused from {ENDS_WITH}", f"give the {service} an account of its own; {mend}")
    if not lacking and not excess:
        yield ok(service, "has exactly the privileges that it needs")
