"""A shop with the snippet on its page: its tabs, its gateway, and its events in Postgres."""

import json
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import asyncpg
from playwright.async_api import BrowserContext, Page, Request, Response

from support.processes.restarts import RestartedGateway
from support.wait import wait_until

ARRIVAL_SECONDS = 40
TAKEN = 202
NEVER_SENT = ("net::ERR_CONNECTION_REFUSED", "net::ERR_INTERNET_DISCONNECTED")
STUB = "<script>window.bridge instanceof Function||(window.bridge=function(){(bridge.q=bridge.q||[]).push(arguments)})</script>"


def program(*names: str) -> str:
    """Find the path of one of these programs; without it the tests fail, they are not skipped."""
    found = next((path for path in map(shutil.which, names) if path), None)
    assert found, f"{names[0]} is not installed: run .ci/packages as root, or install it by hand"
    return found


@dataclass
class Post:
    """One request with events: its status (0 without a response), and both times by the browser's clock."""

    request: Request
    ids: list[str]
    status: int = 0
    asked: str = ""
    never_sent: bool = False

    @property
    def sent_at(self) -> float:
        """Seconds since the epoch."""
        return self.request.timing["startTime"] / 1000

    @property
    def answered_at(self) -> float:
        """Seconds since the epoch."""
        return self.sent_at + self.request.timing["responseStart"] / 1000

    @property
    def unsure(self) -> bool:
        """Whether Kafka may have the events although the page received no 202."""
        return not self.never_sent and (self.status == 0 or self.status >= 500)


class Shop:
    """The page of one script. `faults` are exceptions of scripts in it, `posts` the requests of all its tabs.

    `written` is text of visitors in the page, `begun` code that the page runs before the snippet is loaded.
    """

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
        self.written = ""
        self.begun = ""
        self.faults: list[str] = []
        self.posts: list[Post] = []
        context.on("request", self._sent)
        context.on("response", self._answered)
        context.on("requestfailed", self._failed)
        self._attributes = attributes
        self._connection = connection

    @property
    def html(self) -> str:
        source = f"{self.gateway.url}/bridge/{self.script_id}.js"
        tag = f'<script async src="{source}" {self._attributes}></script>'
        return (
            f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">{self.written}{STUB}{self.begun}{tag}'
        )

    async def open(self, path: str = "/") -> Page:
        """Open a new tab; return when the snippet has run in it."""
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        await page.goto(self.origin + path)
        await page.wait_for_function("bridge.loaded")
        return page

    async def reload(self, page: Page) -> None:
        """Reload the tab; return when the snippet has run in it."""
        await page.reload()
        await page.wait_for_function("bridge.loaded")

    async def rows(self) -> list[asyncpg.Record]:
        """The script's events in Postgres, in the order in which they happened."""
        found: list[asyncpg.Record] = await self._connection.fetch(
            "SELECT * FROM bridge_event WHERE script_id = $1 ORDER BY occurred_at, event_id", self.script_id
        )
        return found

    def _sent(self, request: Request) -> None:
        if request.method == "POST" and f"/{self.script_id}/events" in request.url:
            self.posts.append(Post(request, [one["event_id"] for one in json.loads(request.post_data or "")["events"]]))

    def _answered(self, response: Response) -> None:
        for post in self.posts:
            if post.request == response.request:
                post.status = response.status
                post.asked = response.headers.get("retry-after", "")

    def _failed(self, request: Request) -> None:
        for post in self.posts:
            if post.request == request:
                post.never_sent = request.failure in NEVER_SENT

    async def settled_once(self, by_beacon: int = 0) -> None:
        """Return when all accepted events are committed; assert that no page sent an event again after its 202.

        `by_beacon` counts the events in beacons of closed pages, which the browser's driver doesn't report.
        """
        taken = Counter(one for post in self.posts if post.status == TAKEN for one in post.ids)
        again = {one for one, count in taken.items() if count > 1}
        assert not again, f"{len(again)} events were sent again after their 202: {self._told(again)}"

        async def settled() -> bool:
            return len(await self.rows()) + await self.doubles() >= taken.total()

        await wait_until(settled, budget_seconds=ARRIVAL_SECONDS, describe=f"{taken.total()} events settled")
        unsure = by_beacon + sum(len(post.ids) for post in self.posts if post.unsure)
        assert (doubles := await self.doubles()) <= unsure, f"{doubles} copies, {unsure} unsure: {self._told()}"

    def _told(self, ids: Collection[str] = ()) -> list[tuple[str, int, int]]:
        """Describe the posts with one of these events, or all: times by the browser's clock, event count, status."""
        posts = [post for post in self.posts if not ids or set(ids) & set(post.ids)]
        return [(f"{post.sent_at:.3f} to {post.answered_at:.3f}", len(post.ids), post.status) for post in posts]

    async def doubles(self) -> int:
        """Number of the script's events that were dropped as duplicates."""
        return int(
            await self._connection.fetchval(
                "SELECT count(*) FROM bridge_event_raw WHERE script_id = $1 AND dropped_reason = 'duplicate_event_id'",
                self.script_id,
            )
        )

    async def arrived(self, ids: Sequence[str]) -> list[asyncpg.Record]:
        """Wait until the rows are exactly those of these events, each once; return them."""

        missing = set(ids)

        async def complete() -> bool:
            missing.difference_update(row["event_id"] for row in await self.rows())
            return not missing

        def lacking() -> str:
            return f"{len(missing)} of {len(ids)} events in Postgres; the last posts: {self._told()[-20:]}"

        await wait_until(complete, budget_seconds=ARRIVAL_SECONDS, describe=lacking)
        rows = await self.rows()
        assert sorted(row["event_id"] for row in rows) == sorted(ids)
        return rows


OpenShop = Callable[..., Awaitable[Shop]]


async def queue_of(page: Page) -> list[str]:
    """List the keys of the events in the queue of the page's origin."""
    found: list[str] = await page.evaluate("Object.keys(localStorage).filter(key => key.includes(':event:'))")
    return found


async def emptied(page: Page) -> None:
    """Wait until the queue is empty."""

    async def empty() -> bool:
        return not await queue_of(page)

    await wait_until(empty, budget_seconds=ARRIVAL_SECONDS, describe="an empty queue")
