"""`bridge archive` and `bridge retention` as an operator runs them, and the files as other programs read them."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.archives import AGED, HOSTILE, MONTH
from support.backups import made, refused
from support.events.settled import environment_of, fetch, settle_everything, settling

from bridge.dev.stack import StackAddresses
from sinks.postgres.connection import connection
from sinks.postgres.schema.monthly_partitions import make_month

AGED_HERE = AGED.replace("$1", f"'{MONTH.begin}'").replace(
    "$2", "'" + HOSTILE.replace("'", "''").replace("\\", "\\\\") + "'"
)
COUNT = "SELECT count(*), min(received_at), max(received_at) FROM bridge_event"


def modes(store: Path) -> set[int]:
    """Return the permissions of the files in the store."""
    return {path.stat().st_mode & 0o777 for path in store.rglob("*") if path.is_file()}


@pytest.mark.timeout(180)
async def test_a_month_goes_into_the_store_and_comes_back(
    stack: StackAddresses, database_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Its files are a data set with columns for month and hour; the audit balances after each step."""
    settings = settling(stack.kafka, database_url, topic_prefix)
    await settle_everything(settings)
    async with connection(database_url, "test") as conn:
        await make_month(database_url, conn, MONTH.first)
    await fetch(settings, AGED_HERE)
    before = await fetch(settings, COUNT)
    environment = environment_of(settings, BRIDGE_STORE_URL=f"file://{tmp_path}", BRIDGE_KEEP_EVENTS="1440h")

    created = await made(environment, "archive", "create", str(MONTH))
    verified = await made(environment, "archive", "verify", str(MONTH))
    plan = await made(environment, "retention", "plan")
    applied = await made(environment, "retention", "apply", plan["plan_id"])
    removed = await made(environment, "audit")
    restored = await made(environment, "archive", "restore", str(MONTH))
    balanced = await made(environment, "audit")
    table = pq.read_table(tmp_path / "archive", filters=[("month", "=", str(MONTH))])

    rows = before[0][0]
    assert [one["processed_total"] for one in (created, verified, applied, restored)] == [rows] * 4
    assert (removed["totals"]["persisted"], removed["totals"]["removed"]) == (rows, rows)
    assert (balanced["totals"]["persisted"], balanced["totals"]["removed"]) == (rows, 0)
    assert await fetch(settings, COUNT) == before
    assert (table.num_rows, {"month", "hour", "received_at", "properties"} <= set(table.column_names)) == (rows, True)
    assert modes(tmp_path) == {0o600}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "2026-13"), "MONTH: '2026-13' is no month; give one such as 2026-05, or last"),
        (("verify", "2001-02"), "has no archive of 2001-02; `bridge archive list` shows those that it has"),
    ],
    ids=["no month", "no archive"],
)
async def test_what_cannot_be_done_is_refused(
    stack: StackAddresses, database_url: str, topic_prefix: str, tmp_path: Path, words: tuple[str, str], said: str
) -> None:
    """One line says what is wrong."""
    settings = settling(stack.kafka, database_url, topic_prefix)
    environment = environment_of(settings, BRIDGE_STORE_URL=f"file://{tmp_path}")

    assert said in await refused(environment, "archive", *words)
