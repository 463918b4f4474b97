"""A shop's page in a real browser on an origin of its own, with the real gateway and a real worker."""

import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from playwright.async_api import BrowserContext, async_playwright
from support.events.settled import environment_of, prepare, settings_for
from support.events.shop import OpenShop, Shop, program
from support.infrastructure.databases import create_database, drop_database, run_apart
from support.processes.command import start
from support.processes.restarts import RestartedGateway

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def ground(stack: StackAddresses, template_database: str) -> Iterator[Settings]:
    """Topics, a database and a worker for all tests: each test has its own script and site."""
    name = f"browser_{secrets.token_hex(4)}"
    url = create_database(stack, name, template=template_database)
    settings = settings_for(stack.kafka, url, f"b{secrets.token_hex(3)}.")
    try:
        run_apart(prepare(settings))
        with start("worker", settings=environment_of(settings), quiet=True) as worker:
            try:
                yield settings
            finally:
                worker.terminate()
                try:
                    worker.wait(30)
                except subprocess.TimeoutExpired:
                    worker.kill()
    finally:
        drop_database(stack, name)


@pytest.fixture
async def connection(ground: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database."""
    made = await asyncpg.connect(ground.dsn)
    yield made
    await made.close()


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    """A browser with a new profile."""
    path = program(*BROWSERS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield await browser.new_context()
        finally:
            await browser.close()


@pytest.fixture
async def open_shop(
    ground: Settings, connection: asyncpg.Connection, context: BrowserContext, tmp_path: Path
) -> AsyncIterator[OpenShop]:
    """Open a shop, with attributes of its script tag and settings of its gateway."""
    opened: list[tuple[Shop, web.AppRunner]] = []

    async def make(attributes: str = "", **settings: Any) -> Shop:
        given = {f"gateway_{name}": value for name, value in settings.items()}
        gateway = RestartedGateway(ground, tmp_path, **given)
        shop = Shop(f"shop-{secrets.token_hex(4)}", gateway, connection, context, attributes)

        async def page(_request: web.Request) -> web.Response:
            return web.Response(text=shop.html, content_type="text/html")

        app = web.Application()
        app.router.add_get("/{path:.*}", page)
        runner = web.AppRunner(app)
        opened.append((shop, runner))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        shop.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        site_id = secrets.randbelow(2**31) + 1
        await add_script(ground.dsn, shop.script_id, site_id, org_id=1, origins=[shop.origin])
        gateway.start()
        return shop

    yield make
    for shop, runner in opened:
        shop.gateway.stop()
        await runner.cleanup()
        assert shop.faults == [], "the snippet threw into the page"
