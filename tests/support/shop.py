"""A shop that has the snippet on its page: its tabs, its gateway, and what became of its events."""

import shutil
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
from playwright.async_api import BrowserContext, Page

from support.restarts import RestartedGateway
from support.wait import wait_until

ARRIVAL_SECONDS = 40
STUB = "<script>window.bridge=window.bridge||function(){(bridge.q=bridge.q||[]).push(arguments)}</script>"


def program(*names: str) -> str:
    """Where one of the programs is; without it the tests fail, they are not skipped."""
    found = next((path for path in map(shutil.which, names) if path), None)
    assert found, f"{names[0]} is not installed: run .ci/packages as root, or install it by hand"
    return found


class Shop:
    """One script's page; `faults` is what scripts threw into it."""

    def __init__(
        self,
        script_id: str,
        gateway: RestartedGateway,
        connection: asyncpg.Connection,
        context: BrowserContext,
        attributes: str,
    ) -> None:
        self.script_id = script_id
        self.gateway = gateway
        self.context = context
        self.origin = ""
        self.faults: list[str] = []
        self._attributes = attributes
        self._connection = connection

    @property
    def html(self) -> str:
        source = f"{self.gateway.url}/bridge/{self.script_id}.js"
        tag = f'<script async src="{source}" {self._attributes}></script>'
        return f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">{STUB}{tag}'

    async def open(self, path: str = "/") -> Page:
        """A new tab, once the snippet has run in it."""
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        await page.goto(self.origin + path)
        await page.wait_for_function("bridge.loaded")
        return page

    async def reload(self, page: Page) -> None:
        """The tab anew."""
        await page.reload()
        await page.wait_for_function("bridge.loaded")

    async def rows(self) -> list[asyncpg.Record]:
        """The script's events in Postgres, in the order in which they happened."""
        found: list[asyncpg.Record] = await self._connection.fetch(
            "SELECT * FROM bridge_event WHERE script_id = $1 ORDER BY occurred_at, event_id", self.script_id
        )
        return found

    async def doubles(self) -> int:
        """How many copies of the script's events were taken out as duplicates."""
        return int(
            await self._connection.fetchval(
                "SELECT count(*) FROM bridge_event_raw WHERE script_id = $1 AND dropped_reason = 'duplicate_event_id'",
                self.script_id,
            )
        )

    async def arrived(self, ids: Sequence[str]) -> list[asyncpg.Record]:
        """The rows, once they are those of exactly these events, each once."""

        async def complete() -> bool:
            return {row["event_id"] for row in await self.rows()} >= set(ids)

        await wait_until(complete, budget_seconds=ARRIVAL_SECONDS, describe=f"{len(ids)} events in Postgres")
        rows = await self.rows()
        assert sorted(row["event_id"] for row in rows) == sorted(ids)
        return rows


OpenShop = Callable[..., Awaitable[Shop]]


async def queue_of(page: Page) -> list[str]:
    """The keys of what the page's origin has queued."""
    found: list[str] = await page.evaluate("Object.keys(localStorage).filter(key => key.includes(':event:'))")
    return found


async def emptied(page: Page) -> None:
    """Returns when nothing is queued any more."""

    async def empty() -> bool:
        return not await queue_of(page)

    await wait_until(empty, budget_seconds=ARRIVAL_SECONDS, describe="an empty queue")
