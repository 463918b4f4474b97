"""The snippet in a real browser against the real gateway: each event is persisted exactly once."""

import asyncio
import gzip
import itertools

import aiohttp
from playwright.async_api import Page, Route
from support.events.shop import TAKEN, OpenShop, Shop, emptied, queue_of
from support.wait import wait_until

MOST_BYTES = 4096
TOO_MANY = 429
TRACK_MANY = "count => Array.from({length: count}, (_, number) => bridge('track', 'click', {number}))"
LEAVE = """() => {
  setTimeout(() => { location.href = 'about:blank'; });
  // The batch's own time never comes: what is sent is sent because of the leaving.
  window.setTimeout = () => 0;
  return bridge('track', 'leave');
}"""
HIDE = """() => {
  const before = window.fetch, timer = window.setTimeout, seen = window.seen = [];
  // The batch's own time never comes: what is sent is sent because of the hiding.
  window.setTimeout = () => 0;
  window.fetch = (url, options) => {
    window.setTimeout = timer;
    seen.push(options.keepalive);
    return before(url, options);
  };
  Object.defineProperty(Document.prototype, 'hidden', {get: () => true});
  const id = bridge('track', 'hide');
  document.dispatchEvent(new Event('visibilitychange'));
  return id;
}"""
# This tab keeps seeing the queue's earlier entries until it removes them itself.
LATE = """() => {
  const real = window.localStorage, stale = {...real};
  for (const key in stale) if (!key.includes(':event:')) delete stale[key];
  const view = {
    getItem: (key) => stale[key] ?? real.getItem(key),
    setItem: (key, text) => real.setItem(key, text),
    removeItem: (key) => { delete stale[key]; real.removeItem(key); },
  };
  const seen = () => [...new Set([...Object.keys(stale), ...Object.keys(real)])];
  Object.defineProperty(window, 'localStorage', {get: () => new Proxy(view, {
    ownKeys: seen,
    getOwnPropertyDescriptor: (_, key) => ({configurable: true, enumerable: true, value: view[key]}),
  })});
}"""
KEEP_TOKEN = "([key, kept]) => { localStorage[key] = JSON.stringify({...kept, until: Date.now() + 1e7}) }"


async def track(page: Page, count: int = 1) -> list[str]:
    """Track so many events in one turn and return their ids."""
    ids: list[str] = await page.evaluate(TRACK_MANY, count)
    assert all(ids)
    return ids


async def queued(page: Page, count: int) -> None:
    """Return once the page sees so many events in the queue; other tabs' writes appear a little later."""

    async def so_many() -> bool:
        return len(await queue_of(page)) == count

    await wait_until(so_many, budget_seconds=20, describe=f"{count} queued events")


async def failed_request(page: Page) -> None:
    """Return once a request of the page has failed."""
    failed: list[object] = []
    page.on("requestfailed", lambda request: failed.append(request))  # noqa: PLW0108 - Playwright takes no built-in
    await wait_until(lambda: failed, budget_seconds=20, describe="a failed request")


async def test_it_is_small(open_shop: OpenShop) -> None:
    """The snippet is at most 4 KB as served, and the same bytes each time."""
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
    assert b"window.bridge" in gzip.decompress(bodies[0])


async def test_events_arrive_with_what_the_page_knows(open_shop: OpenShop) -> None:
    """Events tracked before the snippet was loaded arrive too; names outside of the contract become properties."""
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
    await shop.settled_once()


async def test_offline_events_wait(open_shop: OpenShop) -> None:
    """Queued events are sent as soon as the browser reports that it is online."""
    shop = await open_shop()
    page = await shop.open()
    # No timer fires, so events are sent only because of the browser's report.
    await page.evaluate(
        "() => { const timer = setTimeout; window.setTimeout = (work, ms) => ms > 500 ? 0 : timer(work, ms) }"
    )
    await shop.context.set_offline(True)
    ids = await track(page, 5)
    await failed_request(page)
    assert len(await queue_of(page)) == 5
    await shop.context.set_offline(False)

    await shop.arrived(ids)
    await emptied(page)
    await shop.settled_once()


async def test_an_outage_and_a_reload_lose_nothing(open_shop: OpenShop) -> None:
    """The gateway is killed; events tracked before and after a reload arrive after its restart."""
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
    await queued(page, 5)
    shop.gateway.start()

    await shop.arrived(ids)
    await emptied(page)
    await shop.settled_once()


async def test_too_much_is_sent_when_the_gateway_says(open_shop: OpenShop) -> None:
    """After 429 nothing is posted before Retry-After has passed, also not by a page loaded meanwhile."""
    shop = await open_shop(script_events_per_second=5)
    page = await shop.open()
    ids: list[str] = []
    # Each batch exceeds the remaining rate, until one is refused.
    while not any(post.status == TOO_MANY for post in shop.posts):
        ids += await track(page, 20)
        await wait_until(
            lambda last=ids[-1]: any(last in post.ids and post.status for post in shop.posts),
            budget_seconds=20,
            describe="an answer",
        )
    await shop.reload(page)
    ids += await track(page, 1)

    await shop.arrived(ids)
    await emptied(page)
    await shop.settled_once()
    for refused, following in itertools.pairwise(shop.posts):
        if refused.status == TOO_MANY:
            assert int(refused.asked) >= 1
            assert following.sent_at - refused.answered_at >= int(refused.asked) - 0.1


async def test_an_expired_token_is_renewed(open_shop: OpenShop) -> None:
    """The page renews its token by its expiry, or, with a wrong clock, after a 401."""
    shop = await open_shop(token_ttl="4s")
    page = await shop.open()
    statuses: list[int] = []
    page.on(
        "response",
        lambda response: statuses.append(response.status) if response.request.method == "POST" else None,
    )
    ids = await track(page)
    await emptied(page)
    key = f"bridge:{shop.script_id}:token"
    kept = await page.evaluate("key => JSON.parse(localStorage[key])", key)
    await page.wait_for_function("until => Date.now() > until", arg=kept["until"])
    statuses.clear()
    ids += await track(page)
    await emptied(page)
    # 503 is accepted, as Kafka may be slow once.
    assert statuses[0] == 200
    assert set(statuses) <= {200, 202, 503}

    kept = await page.evaluate("key => JSON.parse(localStorage[key])", key)
    await page.evaluate(KEEP_TOKEN, [key, kept])
    await expired(shop, kept["value"])
    statuses.clear()
    ids += await track(page)
    await shop.arrived(ids)
    await emptied(page)
    assert statuses[:2] == [401, 200]
    assert [status for status in statuses[2:] if status not in (200, 503)] == [202]
    await shop.settled_once()


async def expired(shop: Shop, token: str) -> None:
    """Return once the gateway refuses the token."""
    headers = {"Authorization": f"Bearer {token}", "Origin": shop.origin}
    url = f"{shop.gateway.url}/api/bridge/{shop.script_id}/events:validate"

    async def refused() -> bool:
        async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", headers=headers) as answer:
            return answer.status == 401

    await wait_until(refused, budget_seconds=20, describe="the token to expire")


async def test_a_page_that_is_left_sends_by_beacon(open_shop: OpenShop) -> None:
    """The beacon is sent immediately; a beacon has no answer, so the next page sends the event again."""
    shop = await open_shop()
    page = await shop.open()
    ids = await track(page)
    await shop.arrived(ids)
    await emptied(page)
    # The click that leaves the page: tracked and sent long before the next batch is due.
    ids.append(await page.evaluate(LEAVE))
    await page.wait_for_url("about:blank")

    await shop.arrived(ids)
    page = await shop.open()
    await emptied(page)
    await counted(shop, 1)
    await shop.arrived(ids)
    await shop.settled_once(by_beacon=1)


async def counted(shop: Shop, copies: int) -> None:
    """Return once at least so many copies were dropped as duplicates."""

    async def all_of_them() -> bool:
        return await shop.doubles() >= copies

    await wait_until(all_of_them, budget_seconds=40, describe=f"{copies} copies to be counted as duplicates")


async def test_a_page_that_is_hidden_sends_at_once(open_shop: OpenShop) -> None:
    """A hidden page may never be shown again, so it sends its events by requests that outlive it."""
    shop = await open_shop()
    page = await shop.open()
    ids = await track(page)
    await shop.arrived(ids)
    await emptied(page)
    hidden = await page.evaluate(HIDE)

    await shop.arrived([*ids, hidden])
    await emptied(page)
    assert set(await page.evaluate("seen")) == {True}
    await shop.settled_once()


async def test_a_closed_tab_is_no_loss(open_shop: OpenShop) -> None:
    """Another tab of the shop sends the events of a closed tab."""
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
    """Four tabs track events during an outage and after it: none is lost, and none is sent twice."""
    shop = await open_shop()
    pages = [await shop.open() for _ in range(4)]
    ids = await track(pages[0])
    await shop.arrived(ids)
    await emptied(pages[0])
    shop.gateway.kill()
    for some in await asyncio.gather(*(track(page, 60) for page in pages)):
        ids += some
    await queued(pages[0], 240)
    shop.gateway.start()
    for some in await asyncio.gather(*(track(page, 10) for page in pages)):
        ids += some

    await shop.arrived(ids)
    await emptied(pages[0])
    assert len(set(ids)) == 281
    await shop.settled_once()


async def test_what_another_tab_has_sent_is_known_at_once(open_shop: OpenShop) -> None:
    """A tab doesn't send them again even if the browser still shows them in its queue.

    A removal reaches other tabs with a delay.
    """
    shop = await open_shop()
    sender, late = await shop.open(), await shop.open()
    ids = await track(sender)
    await shop.arrived(ids)
    await emptied(sender)
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    # A delay that is longer than the browser's own, also on a slow machine.
    await sender.evaluate(
        "() => { const timer = setTimeout; setTimeout = (work, ms) => ms == 5000 ? 0 : timer(work, ms) }"
    )
    await sender.route("**/events", hold)
    ids += await track(sender, 5)
    await wait_until(lambda: held, budget_seconds=20, describe="the batch on its way")
    await queued(late, 5)
    await late.evaluate(LATE)
    await held[0].continue_()
    await wait_until(lambda: shop.posts[-1].status == TAKEN, budget_seconds=20, describe="the batch's answer")
    await emptied(sender)
    assert len(await queue_of(late)) == 5
    ids += await track(late)

    await shop.arrived(ids)
    await wait_until(
        lambda: [len(post.ids) for post in shop.posts if post.status == TAKEN] == [1, 5, 1],
        budget_seconds=20,
        describe=lambda: f"three answers, not {[(len(post.ids), post.status) for post in shop.posts]}",
    )
    await shop.settled_once()


async def test_a_lost_answer_is_no_second_event(open_shop: OpenShop) -> None:
    """Kafka has the batch and the page lost the answer: it posts the batch again, which counts once."""
    shop = await open_shop()
    page = await shop.open()
    cut: list[int] = []

    async def cut_once(route: Route) -> None:
        if route.request.method == "POST" and not cut:
            answer = await route.fetch()
            if answer.status == TAKEN:
                cut.append(answer.status)
                await route.abort()
            else:
                await route.fulfill(response=answer)
        else:
            await route.continue_()

    await page.route("**/events", cut_once)
    ids = await track(page, 3)
    await emptied(page)
    await shop.arrived(ids)
    await counted(shop, 3)
    await shop.settled_once()
