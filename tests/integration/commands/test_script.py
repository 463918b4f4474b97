"""The registry of scripts: added once, moved only on request, and notified to workers."""

import asyncio
import json

import asyncpg
import pytest
from support.processes.command import words
from support.processes.programs import run
from support.wait import wait_until

from schemas.errors import InvalidInput
from sinks.postgres.registry.admin import Change, add_script, check_origin, list_scripts, set_enabled
from sinks.postgres.registry.cache import RegistryCache


async def test_adding_is_idempotent(database_url: str) -> None:
    """Adding a script again changes nothing; values that are not given stay."""
    shop = "https://shop.example.com"
    assert await add_script(database_url, "s1", 3, org_id=7, origins=[shop]) is Change.ADDED
    assert await add_script(database_url, "s1", 3, org_id=7, origins=[shop, shop]) is Change.UNCHANGED
    assert await add_script(database_url, "s1", 3) is Change.UNCHANGED
    assert await add_script(database_url, "s1", 3, origins=[shop, "http://localhost:8080"]) is Change.UPDATED

    (row,) = await list_scripts(database_url)
    assert (row.script_id, row.site_id, row.org_id, row.enabled) == ("s1", 3, 7, True)
    assert row.origins == ["http://localhost:8080", shop]


async def test_a_script_changes_its_site_only_when_told_to(database_url: str) -> None:
    """Another site is refused, and nothing is written, unless a move is requested."""
    await add_script(database_url, "s1", 3, org_id=7)

    with pytest.raises(InvalidInput, match="script 's1' belongs to site 3, not 4; give --move"):
        await add_script(database_url, "s1", 4, org_id=8)
    with pytest.raises(InvalidInput, match="site 3 belongs to organisation 7, not 8; give --move"):
        await add_script(database_url, "s2", 3, org_id=8)
    assert [(row.script_id, row.site_id, row.org_id) for row in await list_scripts(database_url)] == [("s1", 3, 7)]
    conn = await asyncpg.connect(database_url)
    try:
        assert await conn.fetchval("SELECT count(*) FROM site") == 1
        assert await conn.fetchval("SELECT count(*) FROM org") == 1
    finally:
        await conn.close()

    assert await add_script(database_url, "s1", 4, org_id=8, move=True) is Change.MOVED
    assert [(row.site_id, row.org_id) for row in await list_scripts(database_url)] == [(4, 8)]


async def test_two_that_add_the_same_script_agree(database_url: str) -> None:
    """Of concurrent additions one adds the script; the others find it unchanged, or are refused for another site."""
    same = await asyncio.gather(*(add_script(database_url, "s1", 1, org_id=1) for _ in range(6)))
    assert sorted(same) == sorted([Change.ADDED] + [Change.UNCHANGED] * 5)

    mixed = await asyncio.gather(*(add_script(database_url, "s2", site) for site in (1, 2)), return_exceptions=True)
    assert sum(isinstance(one, InvalidInput) for one in mixed) == 1
    assert sum(one is Change.ADDED for one in mixed) == 1


async def test_disabling_and_enabling(database_url: str) -> None:
    """A script is disabled or enabled once, and an unknown script is an error."""
    await add_script(database_url, "s1", 1)
    assert await set_enabled(database_url, "s1", enabled=False) is Change.DISABLED
    assert await set_enabled(database_url, "s1", enabled=False) is Change.UNCHANGED
    assert [row.enabled for row in await list_scripts(database_url)] == [False]
    assert await set_enabled(database_url, "s1", enabled=True) is Change.ENABLED
    with pytest.raises(InvalidInput, match="script 'nope' is not registered"):
        await set_enabled(database_url, "nope", enabled=False)


async def test_a_running_worker_learns_of_it(database_url: str) -> None:
    """The change is notified, so a worker's copy doesn't wait for its next refresh."""
    cache = RegistryCache(database_url, refresh_seconds=3600)
    following = asyncio.create_task(cache.follow())
    conn = await asyncpg.connect(database_url)
    try:
        await wait_until(
            lambda: conn.fetchval(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name LIKE '%registry%' AND query LIKE '%FROM pause%' AND state = 'idle'"
            ),
            budget_seconds=20,
            describe="the cache has read the registry, which it does after it listens",
        )
        await add_script(database_url, "s9", 5, org_id=2)
        await wait_until(lambda: "s9" in cache.current, budget_seconds=20, describe="the new script in the copy")
        assert (cache.current["s9"].site_id, cache.current["s9"].org_id) == (5, 2)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await conn.close()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Shop.Example.com", "https://shop.example.com"),
        ("https://shop.example.com:443", "https://shop.example.com"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, kept: str) -> None:
    """An origin is stored in lower case and without the scheme's default port."""
    assert check_origin(given) == kept


@pytest.mark.parametrize(
    "origin",
    [
        "", "*", "https://*", "https://*.example.com", "shop.example.com", "//shop.example.com", "https://shop.example.com/",
        "https://shop.example.com/a", "https://shop.example.com?a", "https://shop.example.com#a", "https://u@shop.com",
        "https://shop.com:", "https://shop.com:0", "https://shop.com:99999", "https://shop..com", "https://-shop.com",
        "ftp://shop.com", "null", "https://", "https://shop.com ", " https://shop.com", "https://sh op.com", "https://[::1",
        "https://shöp.com", "https://shop.com\n",
    ],
)  # fmt: skip
def test_anything_else_is_no_origin(origin: str) -> None:
    """Wildcards, paths, users and other schemes are refused."""
    with pytest.raises(InvalidInput, match="is not an origin"):
        check_origin(origin)


@pytest.mark.parametrize(
    ("script_id", "site_id", "org_id"),
    [("", 1, 1), ("x" * 129, 1, 1), ("a\x00b", 1, 1), ("a\nb", 1, 1), ("s", 0, 1), ("s", 2**63, 1), ("s", 1, -1)],
)
async def test_what_no_event_could_name_is_refused(script_id: str, site_id: int, org_id: int) -> None:
    """Ids outside the contract's bounds never reach the database."""
    with pytest.raises(InvalidInput):
        await add_script("postgresql://nobody@127.0.0.1:1/none", script_id, site_id, org_id=org_id)


def test_the_commands(database_url: str) -> None:
    """Results on standard output, and one line with exit code 3 for a mistake."""

    def bridge(*given: str) -> tuple[int, str, str]:
        done = run(words("script", *given), changed={"BRIDGE_DATABASE_URL": database_url})
        return done.returncode, done.stdout, done.stderr

    assert bridge("add", "s[b]1", "--site-id", "3", "--origin", "https://a.com") == (0, "s[b]1: added\n", "")
    assert bridge("add", "s[b]1", "--site-id", "3", "--origin", "https://a.com") == (0, "s[b]1: unchanged\n", "")
    code, told, error = bridge("add", "s[b]1", "--site-id", "4")
    assert (code, told) == (3, "")
    assert error.startswith("error: script 's[b]1' belongs to site 3")
    assert bridge("add", "s2", "--site-id", "0")[0] == 3
    assert bridge("disable", "nope")[0] == 3
    assert bridge("disable", "s[b]1")[:2] == (0, "s[b]1: disabled\n")
    code, table, _ = bridge("list")
    assert code == 0
    assert "s[b]1" in table
    (row,) = json.loads(bridge("list", "--site-id", "3", "--json-output", "-")[1])
    assert (row["script_id"], row["enabled"], row["origins"]) == ("s[b]1", False, ["https://a.com"])


def test_the_commands_of_api_keys(database_url: str) -> None:
    """Two keys may be active; a key is shown once and its secret never again, and a revoked one makes room."""

    def bridge(*given: str) -> tuple[int, str, str]:
        done = run(words("script", *given), changed={"BRIDGE_DATABASE_URL": database_url})
        return done.returncode, done.stdout, done.stderr

    assert bridge("token", "create", "s1")[0] == 3
    bridge("add", "s1", "--site-id", "3")
    code, first, told = bridge("token", "create", "s1", "--note", "the shop's backend")
    assert (code, first[:3], first.strip() in told) == (0, "sk_", False)
    bridge("token", "create", "s1")
    code, _, error = bridge("token", "create", "s1")
    assert (code, "has 2 active keys already" in error) == (3, True)
    key_id, secret = first.strip().split("_")[1:]
    listed = bridge("token", "list", "s1", "--json-output", "-")[1]
    assert secret not in listed
    assert {row["key_id"]: row["state"] for row in json.loads(listed)}[key_id] == "active"
    assert bridge("token", "revoke", "s1", key_id) == (0, f"{key_id}: revoked\n", "")
    assert "was revoked already" in bridge("token", "revoke", "s1", key_id)[1]
    assert bridge("token", "revoke", "s1", "nonsense")[0] == 3
    assert bridge("token", "create", "s1")[0] == 0
    assert "the shop's backend" in bridge("token", "list", "s1")[1]
