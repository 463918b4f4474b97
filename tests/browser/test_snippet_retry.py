"""The snippet's retries: backoff with jitter, Retry-After, and smaller batches."""

import time
from email.utils import formatdate

import pytest
from playwright.async_api import Page, Route
from support.events.shop import TAKEN, OpenShop, emptied
from support.wait import wait_until

HOUR = 3600
TOO_LARGE = 413
# Long timers fire early and their length is recorded; the page's other timers are unchanged.
QUICK = """chance => {
  const timer = window.setTimeout;
  window.pauses = [];
  Math.random = () => chance;
  window.setTimeout = (work, ms) => {
    if (ms < 1000 || ms == 5000 || ms == 15000) return timer(work, ms);
    window.pauses.push(ms);
    return timer(work, 10);
  };
}"""
IMPATIENT = """() => {
  const timer = window.setTimeout;
  window.setTimeout = (work, ms) => timer(work, ms == 15000 ? 500 : ms);
}"""


async def warm(page: Page) -> list[str]:
    """The ids of an event that has been sent, so that the page has its token."""
    ids: list[str] = [await page.evaluate("bridge('track', 'click')")]
    await emptied(page)
    return ids


@pytest.mark.parametrize(
    ("chance", "pauses"),
    [(0, [1000, 2000, 4000, 8000, 16000, 30000, 30000]), (1, [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000])],
)
async def test_it_tries_later_each_time(open_shop: OpenShop, chance: int, pauses: list[int]) -> None:
    """The backoff grows to a minute, with jitter down to half of it, so that pages don't retry together."""
    shop = await open_shop()
    page = await shop.open()
    ids = await warm(page)
    await page.evaluate(QUICK, chance)
    shop.gateway.kill()
    ids.append(await page.evaluate("bridge('track', 'click')"))
    await page.wait_for_function("count => pauses.length >= count", arg=len(pauses))
    assert await page.evaluate("count => pauses.slice(0, count)", len(pauses)) == pauses
    shop.gateway.start()

    await shop.arrived(ids)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("7", 7), ("99999999", HOUR), (lambda: formatdate(time.time() + 60, usegmt=True), 60), ("soon", 0), ("-5", 0)],
    ids=["seconds", "for ever", "a date", "nonsense", "the past"],
)
async def test_what_is_asked_for_is_kept_within_reason(open_shop: OpenShop, asked: object, seconds: int) -> None:
    """All tabs wait for Retry-After in either form, at most an hour; an invalid value is ignored."""
    shop = await open_shop()
    page = await shop.open()
    await warm(page)

    async def refuse(route: Route) -> None:
        header = asked() if callable(asked) else str(asked)
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*", "Retry-After": header}
        await route.fulfill(status=503, headers=headers)

    await page.route("**/events", refuse)
    await page.evaluate("bridge('track', 'click')")
    await wait_until(lambda: shop.posts[-1].status == 503, budget_seconds=20, describe="the refusal")
    if seconds:
        await page.wait_for_function(f"localStorage['bridge:{shop.script_id}:wait']")
        left = await page.evaluate(f"localStorage['bridge:{shop.script_id}:wait'] - Date.now()") / 1000
        assert seconds - 5 < left <= seconds * 1.1
    else:
        posts = len(shop.posts)
        await wait_until(lambda: len(shop.posts) > posts, budget_seconds=20, describe="another try")
        assert await page.evaluate(f"localStorage['bridge:{shop.script_id}:wait'] === undefined")


async def test_only_what_is_asked_for_holds_for_all_tabs(open_shop: OpenShop) -> None:
    """Only Retry-After holds for all tabs; a tab's own backoff, which grows with its failures, does not."""
    shop = await open_shop()
    page = await shop.open()
    ids = await warm(page)
    await page.evaluate(QUICK, 1)
    shop.gateway.kill()
    ids.append(await page.evaluate("bridge('track', 'click')"))
    await page.wait_for_function("pauses.length >= 8")

    async def refuse(route: Route) -> None:
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*", "Retry-After": "2"}
        await route.fulfill(status=503, headers=headers)

    await page.route("**/events", refuse)
    await page.wait_for_function(f"localStorage['bridge:{shop.script_id}:wait']")
    assert await page.evaluate(f"localStorage['bridge:{shop.script_id}:wait'] - Date.now()") <= 2200
    await page.unroute("**/events")
    shop.gateway.start()
    await shop.arrived(ids)


async def test_a_clock_that_was_set_back_is_not_waited_for(open_shop: OpenShop) -> None:
    """A stored wait of more than an hour is ignored, as it comes from another clock."""
    shop = await open_shop()
    page = await shop.open()
    ids = await warm(page)
    await page.evaluate(f"localStorage['bridge:{shop.script_id}:wait'] = Date.now() + 86400e3")
    ids.append(await page.evaluate("bridge('track', 'click')"))

    await shop.arrived(ids)


async def test_an_answer_that_never_comes_is_not_waited_for(open_shop: OpenShop) -> None:
    """The post is aborted and sent again."""
    shop = await open_shop()
    page = await shop.open()
    ids = await warm(page)
    held: list[Route] = []

    async def hold_first(route: Route) -> None:
        if held:
            await route.continue_()
        else:
            held.append(route)

    await page.route("**/events", hold_first)
    await page.evaluate(IMPATIENT)
    ids.append(await page.evaluate("bridge('track', 'click')"))

    await shop.arrived(ids)
    await emptied(page)


async def test_a_batch_that_is_too_large_is_cut(open_shop: OpenShop) -> None:
    """A batch is halved until its parts are accepted; later, larger ones are tried again."""
    shop = await open_shop(max_events=7)
    page = await shop.open()
    ids = await page.evaluate("Array.from({length: 60}, () => bridge('track', 'click'))")

    await shop.arrived(ids)
    await emptied(page)
    assert [len(post.ids) for post in shop.posts if post.status == TOO_LARGE][:3] == [50, 25, 12]
    assert max(len(post.ids) for post in shop.posts if post.status == TAKEN) <= 7
    await shop.settled_once()


async def test_an_event_that_nobody_takes_holds_up_no_other(open_shop: OpenShop) -> None:
    """An event that is refused alone is removed."""
    shop = await open_shop(max_body_bytes=20_000)
    page = await shop.open()
    before = await page.evaluate("[1, 2].map(() => bridge('track', 'click'))")
    await page.evaluate("bridge('track', 'big', {pad: 'y'.repeat(30000)})")
    after = await page.evaluate("[1, 2].map(() => bridge('track', 'click'))")

    await shop.arrived([*before, *after])
    await emptied(page)


async def test_a_page_that_comes_back_sends_as_before(open_shop: OpenShop) -> None:
    """A left page sends by beacon and releases its lock, which would keep it from the back-forward cache.

    When shown again, it sends in batches.
    """
    shop = await open_shop()
    page = await shop.open()
    # Keeps the lock's own time-out from firing.
    await page.evaluate(
        "() => { const timer = setTimeout; setTimeout = (work, ms) => ms == 5000 ? 0 : timer(work, ms) }"
    )
    ids = await warm(page)
    sent = "(await navigator.locks.query()).held.filter(({name}) => name.includes(':sent:')).length"
    assert await page.evaluate(f"async () => {sent}") == 1
    await page.evaluate("dispatchEvent(new Event('pagehide'))")

    async def let_go() -> bool:
        # Playwright's wait_for_function treats a promise as true.
        return not await page.evaluate(f"async () => {sent}")

    await wait_until(let_go, budget_seconds=20, describe="the end of the page's lock")
    ids.append(await page.evaluate("bridge('track', 'left')"))
    await shop.arrived(ids)
    await page.evaluate("dispatchEvent(new Event('pageshow'))")

    await emptied(page)
    ids.append(await page.evaluate("bridge('track', 'back')"))
    await shop.arrived(ids)
    await emptied(page)
