"""The snippet in a real browser against the real gateway: each event arrives once in effect."""

import asyncio
import gzip
import itertools
import time

import aiohttp
import pytest
from playwright.async_api import Page, Response, Route
from support.shop import OpenShop, Shop, emptied, queue_of
from support.wait import wait_until

pytestmark = pytest.mark.timeout(240)

MOST_BYTES = 4096
TRACK_MANY = "count => Array.from({length: count}, (_, number) => bridge('track', 'click', {number}))"
LEAVE = "() => { setTimeout(() => { location.href = 'about:blank'; }); return bridge('track', 'leave'); }"
HIDE = """() => {
  const before = window.fetch, seen = window.seen = [];
  window.fetch = (url, options) => { seen.push(options.keepalive); return before(url, options); };
  Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});
  const id = bridge('track', 'hide');
  document.dispatchEvent(new Event('visibilitychange'));
  return [id, seen.length || new Promise((done) => setTimeout(() => done(seen.length), 100))];
}"""
KEEP_TOKEN = "([key, kept]) => { localStorage[key] = JSON.stringify({...kept, until: Date.now() + 1e7}) }"


async def track(page: Page, count: int = 1) -> list[str]:
    """Tracks so many events at once; their ids."""
    ids: list[str] = await page.evaluate(TRACK_MANY, count)
    assert all(ids)
    return ids


async def failed_request(page: Page) -> None:
    """Returns when the next request of the page has failed."""
    failed: list[object] = []
    page.on("requestfailed", lambda request: failed.append(request))  # noqa: PLW0108 - Playwright takes no built-in
    await wait_until(lambda: failed, budget_seconds=20, describe="a failed request")


async def test_it_is_small(open_shop: OpenShop) -> None:
    """As it is served: at most 4 KB, and the same bytes each time."""
    shop = await open_shop()
    url = f"{shop.gateway.url}/bridge/{shop.script_id}.js"
    bodies = []
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        for _ in range(2):
            async with session.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
                assert answer.headers["Content-Encoding"] == "gzip"
                assert answer.content_type == "text/javascript"
                bodies.append(await answer.read())

    assert bodies[0] == bodies[1]
    assert len(bodies[0]) <= MOST_BYTES
    assert b"bridge('track'" in gzip.decompress(bodies[0])


async def test_events_arrive_with_what_the_page_knows(open_shop: OpenShop) -> None:
    """Those from before the snippet was there as well; fields of the contract are fields, the rest is properties."""
    shop = await open_shop()
    await shop.context.add_init_script("addEventListener('DOMContentLoaded', () => bridge('track', 'pageview'))")
    page = await shop.open("/products?utm_source=mail")
    bought = await page.evaluate(
        "bridge('track', 'purchase', {order: 'ä\\u2028\"'}, {value: '19.90', currency: 'eur', visitor_id: 'v-1'})"
    )

    async def both() -> bool:
        return len(await shop.rows()) == 2

    await wait_until(both, budget_seconds=40, describe="both events")
    await emptied(page)
    view, purchase = await shop.rows()
    assert (view["event_type"], view["url_path"], view["utm_source"]) == ("page_view", "/products", "mail")
    assert (purchase["event_id"], str(purchase["value"]), purchase["currency"]) == (bought, "19.900000", "EUR")
    assert (purchase["visitor_id"], purchase["user_agent"][:11]) == ("v-1", "Mozilla/5.0")
    assert 'ä\u2028\\"' in purchase["properties"]
    assert purchase["sent_at"] is not None
    assert await shop.doubles() == 0


async def test_offline_events_wait(open_shop: OpenShop) -> None:
    """And go as soon as the browser says that it is online again."""
    shop = await open_shop()
    page = await shop.open()
    await shop.context.set_offline(True)
    ids = await track(page, 5)
    await failed_request(page)
    assert len(await queue_of(page)) == 5
    await shop.context.set_offline(False)

    await shop.arrived(ids)
    await emptied(page)
    assert await shop.doubles() == 0


async def test_an_outage_and_a_reload_lose_nothing(open_shop: OpenShop) -> None:
    """The gateway is killed; what is tracked before and after a reload arrives when it is back."""
    shop = await open_shop()
    page = await shop.open()
    ids = await track(page, 2)
    await shop.arrived(ids)
    await emptied(page)
    shop.gateway.kill()
    ids += await track(page, 3)
    await failed_request(page)
    # The browser has the snippet in its cache.
    await shop.reload(page)
    ids += await track(page, 2)
    assert len(await queue_of(page)) == 5
    shop.gateway.start()

    await shop.arrived(ids)
    await emptied(page)
    assert await shop.doubles() == 0


async def test_too_much_is_sent_when_the_gateway_says(open_shop: OpenShop) -> None:
    """After 429 nothing is posted before Retry-After has passed, also not by a page that is loaded meanwhile."""
    shop = await open_shop(script_events_per_second=5)
    page = await shop.open()
    answers: list[tuple[float, int, float]] = []

    def note(response: Response) -> None:
        if response.request.method == "POST":
            asked = float(response.headers.get("retry-after", 0))
            answers.append((time.monotonic(), response.status, asked))

    shop.context.on("response", note)
    ids: list[str] = []
    # Each batch takes more than is left, until one is turned away.
    while not any(status == 429 for _, status, _ in answers):
        ids += await track(page, 20)
        seen = len(answers)
        await wait_until(lambda seen=seen: len(answers) > seen, budget_seconds=20, describe="an answer")
    await shop.reload(page)
    ids += await track(page, 1)

    await shop.arrived(ids)
    await emptied(page)
    assert await shop.doubles() == 0
    for (refused_at, status, asked), (next_at, _, _) in itertools.pairwise(answers):
        if status == 429:
            assert asked >= 1
            assert next_at - refused_at >= asked - 0.1


async def test_an_expired_token_is_renewed(open_shop: OpenShop) -> None:
    """By its own time, and where the clock deceives, by the gateway's word: 401, another token, and the events go."""
    shop = await open_shop(token_ttl="2s")
    page = await shop.open()
    ids = await track(page)
    await shop.arrived(ids)
    await emptied(page)
    key = f"bridge:{shop.script_id}:token"
    kept = await page.evaluate("key => JSON.parse(localStorage[key])", key)
    await page.evaluate(KEEP_TOKEN, [key, kept])
    await expired(shop, kept["value"])
    answers: list[tuple[str, int]] = []
    page.on("response", lambda response: answers.append((response.request.method, response.status)))
    ids += await track(page)

    await shop.arrived(ids)
    await emptied(page)
    assert [status for method, status in answers if method == "POST"] == [401, 200, 202]
    assert await shop.doubles() == 0


async def expired(shop: Shop, token: str) -> None:
    """Returns when the gateway refuses the token."""
    headers = {"Authorization": f"Bearer {token}", "Origin": shop.origin}
    url = f"{shop.gateway.url}/api/bridge/{shop.script_id}/events:validate"

    async def refused() -> bool:
        async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", headers=headers) as answer:
            return answer.status == 401

    await wait_until(refused, budget_seconds=20, describe="the token to expire")


async def test_a_page_that_is_left_sends_by_beacon(open_shop: OpenShop) -> None:
    """At once and without another page of the shop; the next page sends again what a beacon can't confirm."""
    shop = await open_shop()
    page = await shop.open()
    ids = await track(page)
    await shop.arrived(ids)
    await emptied(page)
    # The click that leads away: tracked, and gone long before the next batch is due.
    ids.append(await page.evaluate(LEAVE))
    await page.wait_for_url("about:blank")

    await shop.arrived(ids)
    assert await shop.doubles() == 0
    page = await shop.open()
    await emptied(page)
    await counted(shop, 1)
    await shop.arrived(ids)


async def counted(shop: Shop, copies: int) -> None:
    """Returns when so many copies were taken out as duplicates."""

    async def all_of_them() -> bool:
        return await shop.doubles() == copies

    await wait_until(all_of_them, budget_seconds=40, describe=f"{copies} copies to be counted as duplicates")


async def test_a_page_that_is_hidden_sends_at_once(open_shop: OpenShop) -> None:
    """It may never be shown again: what it has goes, by requests that outlive it."""
    shop = await open_shop()
    page = await shop.open()
    ids = await track(page)
    await shop.arrived(ids)
    await emptied(page)
    hidden, requests = await page.evaluate(f"async () => Promise.all(({HIDE})())")

    assert requests == 1
    assert await page.evaluate("seen") == [True]
    await shop.arrived([*ids, hidden])
    await emptied(page)
    assert await shop.doubles() == 0


async def test_a_closed_tab_is_no_loss(open_shop: OpenShop) -> None:
    """What a tab could not send, another tab of the shop does."""
    shop = await open_shop()
    page = await shop.open()
    ids = await track(page)
    await shop.arrived(ids)
    await shop.context.set_offline(True)
    ids += await track(page, 3)
    await page.close()
    await shop.context.set_offline(False)
    other = await shop.open()

    await shop.arrived(ids)
    await emptied(other)


async def test_tabs_share_one_queue(open_shop: OpenShop) -> None:
    """All track at once, while the gateway is away and after it is back: nothing is lost, and nothing is sent twice."""
    shop = await open_shop()
    pages = [await shop.open() for _ in range(4)]
    ids = await track(pages[0])
    await shop.arrived(ids)
    await emptied(pages[0])
    shop.gateway.kill()
    for some in await asyncio.gather(*(track(page, 60) for page in pages)):
        ids += some
    assert len(await queue_of(pages[0])) == 240
    shop.gateway.start()
    for some in await asyncio.gather(*(track(page, 10) for page in pages)):
        ids += some

    await shop.arrived(ids)
    await emptied(pages[0])
    assert len(set(ids)) == 281
    assert await shop.doubles() == 0


async def test_a_lost_answer_is_no_second_event(open_shop: OpenShop) -> None:
    """Kafka has the batch, the answer does not reach the page: it is posted again and counts once."""
    shop = await open_shop()
    page = await shop.open()
    cut: list[int] = []

    async def cut_once(route: Route) -> None:
        if route.request.method == "POST" and not cut:
            answer = await route.fetch()
            cut.append(answer.status)
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/events", cut_once)
    ids = await track(page, 3)
    await emptied(page)
    await shop.arrived(ids)
    assert cut == [202]
    await counted(shop, 3)
