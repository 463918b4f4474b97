"""The registry's history: it records every change by commands and by SQL, nothing else, and can't be rewritten."""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.infrastructure.accounts import account, execute, value_of
from support.infrastructure.databases import as_admin
from support.processes.command import bridge_text

from bridge.dev.stack import StackAddresses
from schemas.api_key import NewKey
from schemas.api_token import Role
from schemas.config.service import PROCESSES, Service
from schemas.errors import InvalidInput
from schemas.pipeline.pause import PauseKind
from sinks.postgres.registry.admin import add_script, list_scripts, set_enabled
from sinks.postgres.registry.history import RegistryChange, list_changes
from sinks.postgres.registry.pauses import end_pause, start_pause
from sinks.postgres.runs.history import started_by
from sinks.postgres.tokens.api_tokens import create_api_token, note_used, revoke_api_token
from sinks.postgres.tokens.script_tokens import create_token, revoke_token

TABLES = ("api_token", "org", "pause", "script", "script_token", "site")
CLOCKS = {"created_at", "updated_at", "last_used_at", "paused_at"}
"""Columns that only hold the time of a write or a use."""
A, B = "https://a.example", "https://b.example"
PLACE = ("shop", 3, 7)


@pytest.fixture
def admin_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


async def noted(url: str, since: int = 0) -> list[RegistryChange]:
    """The history, oldest first, without the first `since` changes."""
    return (await list_changes(url, None, None, 1000))[::-1][since:]


async def shop(url: str) -> int:
    """Register the script shop of site 3 and organisation 7; return the number of changes."""
    await add_script(url, *PLACE[:2], org_id=7, origins=[A])
    return len(await noted(url))


def plain(one: RegistryChange) -> tuple[Any, ...]:
    """The change without account and time."""
    return (one.subject, one.change, one.name, (one.script_id, one.site_id, one.org_id), one.old, one.new)


async def test_a_new_script_is_noted_with_its_site_and_organisation(database_url: str) -> None:
    """An addition is recorded with author, account and time; the same again is no change."""
    before = datetime.now(UTC) - timedelta(minutes=5)
    for _ in range(2):
        await shop(database_url)

    found = await noted(database_url)

    assert [plain(one) for one in found] == [
        ("org", "added", "7", (None, None, 7), {}, {"org_id": 7}),
        ("site", "added", "3", (None, 3, 7), {}, {"site_id": 3, "org_id": 7}),
        ("script", "added", "shop", PLACE, {},
         {"script_id": "shop", "site_id": 3, "enabled": True, "origins": [A], "shared_ids": False}),
    ]  # fmt: skip
    assert {one.changed_by for one in found} == {started_by()}
    assert {one.written_by for one in found} == {urlsplit(database_url).username}
    assert all(before < one.written_at for one in found)


async def moves(url: str) -> None:
    """Move the script to another site of another organisation, with a new origin."""
    await add_script(url, "shop", 4, org_id=8, origins=[B], move=True)


async def moves_site(url: str) -> None:
    """Move the site to another organisation."""
    await add_script(url, "shop", 3, org_id=8, move=True)


async def shares_ids(url: str) -> None:
    """Let the script's senders share their ids."""
    await add_script(url, "shop", 3, shared_ids=True)


COMMANDS: dict[str, tuple[Callable[[str], Awaitable[Any]], tuple[Any, ...]]] = {
    "moved": (
        moves,
        ("script", "moved", "shop", ("shop", 4, 8), {"site_id": 3, "origins": [A]}, {"site_id": 4, "origins": [B]}),
    ),
    "site moved": (moves_site, ("site", "moved", "3", (None, 3, 8), {"org_id": 7}, {"org_id": 8})),
    "changed": (shares_ids, ("script", "changed", "shop", PLACE, {"shared_ids": False}, {"shared_ids": True})),
    "disabled": (
        lambda url: set_enabled(url, "shop", enabled=False),
        ("script", "disabled", "shop", PLACE, {"enabled": True}, {"enabled": False}),
    ),
    "paused": (
        lambda url: start_pause(url, PauseKind.SITE, "3", "flood"),
        ("pause", "started", "3", (None, 3, 7), {},
         {"kind": "site", "target": "3", "paused_by": started_by(), "reason": "flood"}),
    ),
    "partition paused": (
        lambda url: start_pause(url, PauseKind.PARTITION, "bridge.raw:3", "flood"),
        ("pause", "started", "bridge.raw:3", (None, None, None), {},
         {"kind": "partition", "target": "bridge.raw:3", "paused_by": started_by(), "reason": "flood"}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", COMMANDS)
async def test_a_change_by_a_command_is_noted_once(database_url: str, kind: str) -> None:
    """A change is recorded with its changed columns only; the same again is no change."""
    begin = await shop(database_url)
    act, expected = COMMANDS[kind]
    for _ in range(2):
        await act(database_url)

    # The target site and organisation are new too.
    (found,) = [one for one in await noted(database_url, begin) if (one.subject, one.change) == expected[:2]]

    assert plain(found) == expected
    assert (found.changed_by, found.reason) == (started_by(), "flood" if found.subject == "pause" else None)


async def test_a_pause_that_ends_says_who_ended_it_and_why(database_url: str) -> None:
    """The removed row no longer has author and reason; ending a missing pause is no change."""
    begin = await shop(database_url)
    await start_pause(database_url, PauseKind.SCRIPT, "shop", "flood")
    for _ in range(2):
        await end_pause(database_url, PauseKind.SCRIPT, "shop", "all quiet")

    started, ended = await noted(database_url, begin)

    assert (started.change, started.reason) == ("started", "flood")
    assert plain(ended)[:4] == ("pause", "ended", "shop", PLACE)
    assert (ended.reason, ended.changed_by, ended.old["reason"], ended.new) == ("all quiet", started_by(), "flood", {})


async def rows_as_text(url: str) -> str:
    """The whole history as JSON text."""
    return str(await value_of(url, "SELECT jsonb_agg(to_jsonb(c))::text FROM registry_change AS c"))


async def test_keys_and_tokens_are_noted_without_what_is_secret(database_url: str) -> None:
    """The history has neither the secret nor its digest, but the exchange of a digest."""
    begin = await shop(database_url)
    key = await create_token(database_url, "shop", "the backend")
    assert await revoke_token(database_url, "shop", key.key_id)
    token = await create_api_token(database_url, "ops", Role.OPERATOR, org_id=7)
    assert await revoke_api_token(database_url, "ops")
    await execute(
        database_url,
        "UPDATE script_token SET digest = sha256('other'), revoked_at = NULL, revoked_by = NULL",
        "UPDATE api_token SET digest = sha256('other')",
    )

    found = await noted(database_url, begin)

    words = [(one.subject, one.change, one.name, one.changed_by) for one in found]
    assert words == [
        ("script_token", "created", key.key_id, started_by()),
        ("script_token", "revoked", key.key_id, started_by()),
        ("api_token", "created", "ops", started_by()),
        ("api_token", "revoked", "ops", started_by()),
        ("script_token", "restored", key.key_id, None),
        ("api_token", "changed", "ops", None),
    ]
    assert {(one.script_id, one.org_id) for one in found} == {("shop", 7), (None, 7)}
    assert found[0].new["note"] == "the backend"
    assert found[2].new["role"] == "operator"
    assert plain(found[-1])[4:] == ({"digest": "not kept"},) * 2
    assert_no_secret(await rows_as_text(database_url), key, token)


def assert_no_secret(text: str, *made: NewKey) -> None:
    """Check for secrets and digests in any spelling of bytes."""
    for one in made:
        secret = one.text.split("_")[-1]
        assert one.key_id in text
        assert secret not in text
        assert one.digest.hex() not in text
    # A digest of SHA-256 as hexadecimal digits.
    assert not re.search("[0-9a-f]{64}", text)


OF_SQL = {
    "UPDATE script SET origins = '{}'": ("script", "changed", "shop", {"origins": [A]}, {"origins": []}),
    "UPDATE script SET script_id = 'shop2'": ("script", "changed", "shop2", {"script_id": "shop"}, {"script_id": "shop2"}),
    "UPDATE site SET org_id = NULL": ("site", "moved", "3", {"org_id": 7}, {"org_id": None}),
    "DELETE FROM script": (
        "script", "removed", "shop",
        {"script_id": "shop", "site_id": 3, "enabled": True, "origins": [A], "shared_ids": False}, {},
    ),
    "TRUNCATE script CASCADE": (
        "script", "removed", "shop",
        {"script_id": "shop", "site_id": 3, "enabled": True, "origins": [A], "shared_ids": False}, {},
    ),
    "INSERT INTO org (org_id) VALUES (9)": ("org", "added", "9", {}, {"org_id": 9}),
    # As the previous release writes them, without `bridge.changed_by`.
    "INSERT INTO script (script_id, site_id, origins) VALUES ('old', 3, '{}')": (
        "script", "added", "old", {}, {"script_id": "old", "site_id": 3, "enabled": True, "origins": [], "shared_ids": False},
    ),
    "INSERT INTO pause (kind, target, paused_by, reason) VALUES ('org', 'no number', 'ann@host', 'flood')": (
        "pause", "started", "no number", {},
        {"kind": "org", "target": "no number", "paused_by": "ann@host", "reason": "flood"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("statement", OF_SQL)
async def test_a_change_by_sql_is_noted(database_url: str, statement: str) -> None:
    """A change by SQL is recorded under the session's account, with an author only where the row has one."""
    begin = await shop(database_url)
    await execute(database_url, statement)

    (found,) = await noted(database_url, begin)

    assert (found.subject, found.change, found.name, found.old, found.new) == OF_SQL[statement]
    assert found.changed_by == ("ann@host" if found.subject == "pause" else None)
    assert found.written_by == urlsplit(database_url).username


async def test_what_changes_nothing_is_not_noted(database_url: str) -> None:
    """A row written again, a token's last use and a rolled-back change are not recorded."""
    await shop(database_url)
    await create_token(database_url, "shop")
    token = await create_api_token(database_url, "ops", Role.VIEWER)
    begin = len(await noted(database_url))

    await note_used(database_url, {token.key_id: datetime.now(UTC)})
    await execute(
        database_url,
        "UPDATE script SET enabled = true, origins = origins, updated_at = now()",
        "UPDATE site SET org_id = 7",
        # As a release before 0018 noted uses.
        "UPDATE api_token SET last_used_at = now()",
        "INSERT INTO script (script_id, site_id) VALUES ('shop', 3) ON CONFLICT DO NOTHING",
        "DELETE FROM pause",
        "BEGIN; DELETE FROM script_token; DELETE FROM script; ROLLBACK",
    )

    assert await noted(database_url, begin) == []


async def test_every_column_of_the_registry_is_compared(database_url: str) -> None:
    """Columns that hold a time only are left out; a later migration's column is compared, or listed here."""
    query = """
        SELECT c.relname, a.attname FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY ($1)
          AND (SELECT count(*) FROM pg_trigger AS t
               WHERE t.tgrelid = c.oid AND t.tgfoid = 'note_registry_change'::regproc
                 AND a.attname = ANY (string_to_array(encode(t.tgargs, 'escape'), '\\000'))) <> 2
    """
    conn = await asyncpg.connect(database_url)
    try:
        left_out = {tuple(row) for row in await conn.fetch(query, list(TABLES))}
    finally:
        await conn.close()
    assert {column for _, column in left_out} == CLOCKS


@pytest.mark.parametrize("service", [*PROCESSES, Service.READER, None])
async def test_no_account_but_the_owner_s_writes_the_history(admin_url: str, service: Service | None) -> None:
    """An account with any grants removes and rewrites nothing, and its additions carry its name."""
    await shop(admin_url)
    forged = (
        "INSERT INTO registry_change (written_at, written_by, subject, change, name)"
        " VALUES ('2020-01-01', 'bridge_owner', 'org', 'added', '1')"
    )
    with account(admin_url, service) as url:
        role = urlsplit(url).username
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(url, forged)
        await execute(admin_url, f"GRANT ALL ON registry_change TO {role}")
        for statement in (
            "UPDATE registry_change SET changed_by = 'somebody'", "UPDATE registry_change SET new = '{}'",
            "DELETE FROM registry_change", "TRUNCATE registry_change",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="history is the owner's to change"):
                await execute(url, statement)
        await execute(url, forged)
        newest = (await noted(admin_url))[-1]
        assert (newest.written_by, newest.written_at.year) == (role, datetime.now(UTC).year)
        # Its trigger on a table of the account's own could write any values.
        await execute(admin_url, f"GRANT CREATE ON SCHEMA public TO {role}")
        await execute(url, "CREATE TABLE own (org_id bigint)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(
                url,
                "CREATE TRIGGER own AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION note_registry_change('org_id')",
            )
        await execute(admin_url, "DROP TABLE own", "DELETE FROM registry_change")


async def test_an_account_that_may_change_the_registry_needs_no_right_to_its_history(admin_url: str) -> None:
    """An account's changes are recorded under its own name, without a right to the history."""
    await shop(admin_url)
    with account(admin_url, Service.GATEWAY) as url:
        role = urlsplit(url).username
        await execute(admin_url, f"GRANT UPDATE (enabled) ON script TO {role}")
        await execute(url, "UPDATE script SET enabled = false")
        newest = (await noted(admin_url))[-1]
        assert (newest.change, newest.written_by, newest.changed_by) == ("disabled", role, None)


async def test_a_reader_sees_changes_of_scripts_and_not_who_made_them(admin_url: str) -> None:
    """A reader sees changes of the scripts that it can read, and none of keys, tokens or pauses."""
    await shop(admin_url)
    await create_token(admin_url, "shop")
    await start_pause(admin_url, PauseKind.SITE, "3", "flood")
    with account(admin_url, Service.READER) as url:
        seen = await value_of(url, "SELECT array_agg(DISTINCT subject ORDER BY subject) FROM script_change")
        assert seen == ["org", "script", "site"]
        assert started_by() not in str(
            await value_of(url, "SELECT jsonb_agg(to_jsonb(c))::text FROM script_change AS c")
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await value_of(url, "SELECT count(*) FROM registry_change")


async def test_a_script_s_history_is_that_of_its_sites_and_organisations_too(database_url: str) -> None:
    """Former sites and organisations are included; neighbours and API tokens are not."""
    await shop(database_url)
    await add_script(database_url, "other", 3)
    await add_script(database_url, "far", 30, org_id=70)
    await create_api_token(database_url, "ops", Role.VIEWER, org_id=7)
    await add_script(database_url, "shop", 4, org_id=8, move=True)
    await start_pause(database_url, PauseKind.ORG, "8", "flood")
    await start_pause(database_url, PauseKind.SITE, "3", "flood")

    found = [f"{one.subject} {one.change} {one.name}" for one in await list_changes(database_url, "shop", None, 100)]

    assert found == [
        "pause started 3", "pause started 8", "script moved shop", "site added 4", "org added 8", "script added shop",
        "site added 3", "org added 7",
    ]  # fmt: skip
    await execute(database_url, "UPDATE script SET script_id = 'renamed' WHERE script_id = 'shop'")
    assert (await list_changes(database_url, "shop", None, 1))[0].name == "renamed"
    with pytest.raises(InvalidInput, match="script 'nope' is not registered and has no history"):
        await list_changes(database_url, "nope", None, 100)
    await execute(database_url, "DELETE FROM registry_change")
    assert await list_changes(database_url, "renamed", None, 100) == []


async def test_the_list_of_scripts_says_when_each_was_last_changed(database_url: str) -> None:
    """The list has the time of the last change, also where a statement of SQL left updated_at unchanged."""
    await shop(database_url)
    (added,) = await list_scripts(database_url)
    await execute(database_url, "UPDATE script SET enabled = false")

    (row,) = await list_scripts(database_url)

    assert row.updated_at == (await noted(database_url))[-1].written_at
    assert row.updated_at > added.updated_at


async def test_the_command_shows_the_newest_changes(database_url: str) -> None:
    """The command shows all or the newest changes, as a table and as JSON; a mistake gives one line."""
    variables = {"BRIDGE_DATABASE_URL": database_url}

    async def bridge(*words: str) -> tuple[int, str, str]:
        done = await bridge_text("script", *words, settings=variables)
        return done.returncode, done.stdout, done.stderr

    await bridge("add", "shop", "--site-id", "3", "--org-id", "7", "--origin", A)
    await bridge("disable", "shop")
    await execute(
        database_url, "UPDATE registry_change SET written_at = now() - interval '3 days' WHERE change = 'added'"
    )

    code, table, _ = await bridge("history")
    header, newest, *older = table.splitlines()
    assert code == 0
    assert header.split() == ["changed", "what", "name", "of", "by", "account", "values", "why"]
    assert "script disabled" in newest
    assert "site 3, org 7" in newest
    assert "enabled true -> false" in newest
    assert f'enabled true, origins ["{A}"], shared_ids false' in older[0]
    assert len(older) == 3
    (only,) = json.loads((await bridge("history", "shop", "--since", "2d", "--json-output", "-"))[1])
    assert only["written_at"].endswith("Z")
    assert {name: only[name] for name in ("subject", "change", "old", "new")} == {
        "subject": "script", "change": "disabled", "old": {"enabled": True}, "new": {"enabled": False},
    }  # fmt: skip
    assert len((await bridge("history", "--limit", "1"))[1].splitlines()) == 2
    for words, error in (
        (("history", "nope"), "error: script 'nope' is not registered and has no history; see `bridge script list`\n"),
        (("history", "--since", "soon"), "error: --since: 'soon' is no time: give an age such as 30m"),
    ):
        code, said, told = await bridge(*words)
        assert (code, said, told.startswith(error)) == (3, "", True), told
