"""The producers' pages: every block runs in order, and its events arrive."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from playwright.async_api import BrowserContext
from support.events.settled import environment_of
from support.events.shop import program
from support.processes.programs import CHECKOUT, environment
from support.processes.restarts import RestartedGateway
from support.wait import wait_until

from schemas.config.settings import Settings

PAGES = CHECKOUT / "docs" / "producers"
GATEWAY, SHOP = "http://127.0.0.1:8000", "http://127.0.0.1:8080"
BLOCK = re.compile(r"^```(sh|python|html)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """The page's blocks in these languages; blocks in others are not run."""
    return [(language, text) for language, text in BLOCK.findall((PAGES / page).read_text()) if language in languages]


@pytest.fixture
def gateway(ground: Settings, tmp_path: Path) -> Iterator[RestartedGateway]:
    """The gateway at the pages' address http://127.0.0.1:8000."""
    process = RestartedGateway(ground, tmp_path)
    process.start()
    yield process
    process.stop()


def shell(page: str, ground: Settings, gateway: RestartedGateway, directory: Path) -> str:
    """Run the page's blocks as one script, as when pasted one after the other, and return the output."""
    topic = ground.topics.raw
    script = ["set -euo pipefail"]
    for number, (language, text) in enumerate(blocks(page, "sh", "python")):
        pasted = text.replace(GATEWAY, gateway.url).replace("bridge.raw", topic)
        if language == "python":
            (directory / f"{number}.py").write_text(pasted)
            pasted = f"{sys.executable} -W error {number}.py"
        script.append(pasted)
    path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=directory,
        env=environment(environment_of(ground, PATH=path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


async def arrived(connection: asyncpg.Connection, kinds: dict[str, int]) -> None:
    """Return once Postgres has so many events of each type."""
    counts = (
        "SELECT event_type, count(*) FROM bridge_event WHERE script_id = 'shop' AND event_type = ANY($1) GROUP BY 1"
    )

    async def all_there() -> bool:
        return dict(await connection.fetch(counts, list(kinds))) == kinds

    await wait_until(all_there, budget_seconds=40, describe=f"{kinds} in Postgres")


async def test_curl(
    ground: Settings, gateway: RestartedGateway, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    """One event, lines, a dry run, and a new key in place of the old."""
    program("curl")
    said = shell("curl.md", ground, gateway, tmp_path)

    await arrived(connection, {"signup": 1, "purchase": 3, "rotated": 1})
    assert '"id_assigned":true' in said
    assert said.rstrip().endswith("revoked")


async def test_kafka(
    ground: Settings, gateway: RestartedGateway, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    """kcat and the product's own command publish events with the contract's key."""
    program("kcat")
    shell("kafka.md", ground, gateway, tmp_path)

    await arrived(connection, {"import": 1, "imported": 1})


async def test_python(
    ground: Settings, gateway: RestartedGateway, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    """The client works with asyncio and without, and its spool is empty afterwards."""
    shell("python.md", ground, gateway, tmp_path)

    await arrived(connection, {"signup_async": 1, "purchase_async": 1, "order_spooled": 3})
    assert [path.name for path in (tmp_path / "bridge-spool").iterdir()] == ["lock"]


async def test_browser(
    ground: Settings, connection: asyncpg.Connection, context: BrowserContext, tmp_path: Path
) -> None:
    """The page unchanged, on an origin of its own, under the policy that it recommends."""
    ((_, html),) = blocks("browser.md", "html")
    (policy,) = re.findall(r"^```\n(script-src .*)\n```$", (PAGES / "browser.md").read_text(), re.MULTILINE)
    process = RestartedGateway(ground, tmp_path)

    async def page(_request: web.Request) -> web.Response:
        # By the page, the example's inline scripts and handler need a nonce.
        policed = policy.replace(GATEWAY, process.url).replace("script-src", "script-src 'unsafe-inline'")
        return web.Response(
            text=html.replace(GATEWAY, process.url),
            content_type="text/html",
            headers={"Content-Security-Policy": policed},
        )

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ((_, register),) = blocks("browser.md", "sh")
        path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
        words = ["bash", "-ec", register.replace(SHOP, origin)]
        subprocess.run(words, env=environment(environment_of(ground, PATH=path)), check=True, timeout=60)
        process.start()
        tab = await context.new_page()
        await tab.goto(origin)
        await tab.get_by_role("button", name="buy").click()

        await arrived(connection, {"view_page": 1, "purchase_page": 1})
    finally:
        process.stop()
        await runner.cleanup()


def test_every_page_is_listed() -> None:
    """The overview lists every page, and each has a test above; mappings and fields have unit tests."""
    pages = {path.name for path in PAGES.glob("*.md")} - {"README.md"}

    assert pages == {"browser.md", "curl.md", "kafka.md", "python.md", "mappings.md", "what-becomes-of-an-event.md"}
    for page in pages:
        assert f"({page})" in (PAGES / "README.md").read_text()
