"""A shop's page in a real browser, on an origin of its own, and behind its script the real gateway and a real worker."""

import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from playwright.async_api import BrowserContext, async_playwright
from support.command import bridge, start
from support.databases import create_database, drop_database
from support.gateway_process import GatewayProcess
from support.shop import Ground, OpenShop, Shop, program

from bridge.stack import StackAddresses
from sinks.registry_admin import add_script

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def ground(stack: StackAddresses, template_database: str) -> Iterator[Ground]:
    """One worker for all: each test has a script and a site of its own."""
    name = f"browser_{secrets.token_hex(4)}"
    prefix = f"b{secrets.token_hex(3)}."
    url = create_database(stack.database_url, name, template=template_database)
    settings = {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
        "BRIDGE_DATABASE_URL": url,
        "BRIDGE_TOPIC_PREFIX": prefix,
        "BRIDGE_TOPIC_PARTITIONS": "3",
        "BRIDGE_GROUP": f"{prefix}group",
        "BRIDGE_SECRET_KEY": secrets.token_hex(32),
    }
    try:
        done = bridge("topics", "apply", settings=settings)
        assert done.returncode == 0, done.stderr
        with start("worker", settings=settings, quiet=True) as worker:
            try:
                yield Ground(settings, url)
            finally:
                worker.terminate()
                try:
                    worker.wait(30)
                except subprocess.TimeoutExpired:
                    worker.kill()
    finally:
        drop_database(stack.database_url, name)


@pytest.fixture
async def connection(ground: Ground) -> AsyncIterator[asyncpg.Connection]:
    """To look into the database."""
    made = await asyncpg.connect(ground.database_url)
    yield made
    await made.close()


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    """A browser with a profile that nothing was done in."""
    path = program(*BROWSERS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield await browser.new_context()
        finally:
            await browser.close()


@pytest.fixture
async def open_shop(ground: Ground, connection: asyncpg.Connection, context: BrowserContext) -> AsyncIterator[OpenShop]:
    """Opens a shop, with attributes of its script tag and settings of its gateway."""
    opened: list[tuple[Shop, web.AppRunner]] = []

    async def make(attributes: str = "", **settings: Any) -> Shop:
        given = {f"BRIDGE_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
        gateway = GatewayProcess(ground.settings | given)
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
        await add_script(ground.database_url, shop.script_id, site_id, org_id=1, origins=[shop.origin])
        await gateway.start()
        return shop

    yield make
    for shop, runner in opened:
        shop.gateway.stop()
        await runner.cleanup()
        assert shop.faults == [], "the snippet threw into the page"
