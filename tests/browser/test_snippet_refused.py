"""The snippet with refused browser features, or with an intermediary that answers: each event arrives once.

The page can read the reason of a delay.
"""

import json

import pytest
from playwright.async_api import Page, Route
from support.events.shop import OpenShop, emptied, queue_of
from support.wait import wait_until

DENIED = "new DOMException('Access is denied in this context', 'SecurityError')"
NO_STORAGE = f"Object.defineProperty(window, 'localStorage', {{get() {{ throw {DENIED} }}}});"
NO_LOCKS = f"LockManager.prototype.request = LockManager.prototype.query = () => Promise.reject({DENIED});"
TRACED = """const real = window.fetch;
window.fetch = (url, options) => real(url, {...options, headers: {...options.headers,
  baggage: 'a=b', 'sentry-trace': '1', tracestate: 'x=1', b3: '0', newrelic: 'n', 'x-datadog-trace-id': '1', 'Request-Id': 'r'}});"""
OLD_LIBRARY = """Array.prototype.toJSON = function() { return '[' + this.map(x => JSON.stringify(x)).join(', ') + ']' };
Object.prototype.toJSON = Date.prototype.toJSON = function() { return 'text' };"""
CORS = {"Access-Control-Allow-Origin": "*"}
PAGE = "<!doctype html><title>blocked</title>"


async def track(page: Page, texts: list[str]) -> list[str]:
    ids: list[str] = await page.evaluate("texts => texts.map(text => bridge('track', 'search', {text}))", texts)
    assert all(ids)
    return ids


async def state_of(page: Page) -> tuple[str, str, int]:
    """The snippet's state, its reason, and the number of queued events."""
    found = await page.evaluate("bridge('state')")
    assert found["since"] > 1.7e12
    return found["state"], found["reason"], found["queued"]


async def delivered(page: Page) -> None:
    """Wait until the snippet delivers and its queue is empty: the last 202 reaches the page after Kafka."""

    async def empty() -> bool:
        return await state_of(page) == ("delivering", "", 0)

    await wait_until(empty, budget_seconds=20, describe="the state of delivered events")


@pytest.mark.parametrize(
    "spoilt",
    [
        NO_LOCKS,
        NO_LOCKS + NO_STORAGE,
        f"LockManager.prototype.request = LockManager.prototype.query = () => {{ throw {DENIED} }};",
        "Object.defineProperty(window, 'localStorage', {get: () => null});",
        "Storage.prototype.setItem = () => {};",
        "navigator.sendBeacon = undefined;",
        TRACED,
        OLD_LIBRARY,
    ],
    ids=[
        "locks",
        "cookies",
        "locks at once",
        "no storage",
        "storage that forgets",
        "no beacon",
        "tracing",
        "old library",
    ],
)
async def test_what_a_page_refuses_costs_no_event(open_shop: OpenShop, spoilt: str) -> None:
    """Blocked cookies, sandboxes, and other scripts' changes of the browser lose no event."""
    shop = await open_shop()
    await shop.context.add_init_script(spoilt)
    page = await shop.open()
    ids = await track(page, ["a", "b", "c"])

    await shop.arrived(ids)
    await delivered(page)
    await shop.settled_once()


async def test_a_library_that_changes_json_changes_no_event(open_shop: OpenShop) -> None:
    """Arrays, objects and times are sent unchanged, although Prototype.js 1.6 changes their toJSON."""
    shop = await open_shop()
    page = await shop.open()
    await page.evaluate(OLD_LIBRARY)
    sent = "bridge('track', 'view', {tags: ['a', 'b'], deep: {list: [1, {c: null}]}, at: new Date(86400e3)})"

    (row,) = await shop.arrived([await page.evaluate(sent)])
    assert json.loads(row["properties"]) == {
        "tags": ["a", "b"], "deep": {"list": [1, {"c": None}]}, "at": "1970-01-02T00:00:00.000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, ""), (200, PAGE), (200, "{}"), (204, ""), (202, PAGE), (202, "{}"), (403, PAGE)],
    ids=["blocker", "catch-all page", "object", "204", "202 of others", "202 without count", "firewall"],
)
async def test_only_the_gateways_202_empties_the_queue(open_shop: OpenShop, status: int, body: str) -> None:
    """The events wait, the state names the answer, and they arrive once the gateway answers again."""
    shop = await open_shop()
    page = await shop.open()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))

    async def answer(route: Route) -> None:
        await route.fulfill(status=status, headers=CORS, body=body)

    await page.route("**/events", answer)
    ids = await track(page, ["a", "b"])

    async def blocked() -> bool:
        return (await state_of(page))[0] == "blocked"

    await wait_until(blocked, budget_seconds=20, describe="the state of blocked events")
    assert await state_of(page) == ("blocked", f"{status} not the gateway's answer", 2)
    assert any("events are blocked" in text for text in said)
    await page.unroute("**/events")

    await shop.arrived(ids)
    await emptied(page)
    await delivered(page)


@pytest.mark.parametrize("hidden", [False, True], ids=["answered", "hidden by the browser"])
async def test_a_firewall_refuses_one_event_and_the_others_arrive(open_shop: OpenShop, *, hidden: bool) -> None:
    """The refused event stays queued for a later try and is named on the console."""
    shop = await open_shop()
    page = await shop.open()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))

    async def guard(route: Route) -> None:
        if "UNION SELECT" not in (route.request.post_data or ""):
            await route.continue_()
        elif hidden:
            await route.abort()
        else:
            await route.fulfill(status=403, headers=CORS, body=PAGE)

    await page.route("**/events", guard)
    ids = await track(page, ["shoes 1", "1 UNION SELECT password", "shoes 2", "shoes 3"])
    bad = ids.pop(1)

    await shop.arrived(ids)

    async def named() -> bool:
        return any("an event was refused" in text and bad in text for text in said)

    await wait_until(named, budget_seconds=40, describe="the word about the refused event")
    assert [key.rpartition(":")[2] for key in await queue_of(page)] == [bad]
    assert await state_of(page) == ("delivering", "", 1)

    await page.unroute("**/events")
    later = "key => { localStorage[key] = localStorage[key].replace(/^\\d+/, 5) }"
    await page.evaluate(later, (await queue_of(page))[0])
    ids += [bad, *await track(page, ["later"])]
    await shop.arrived(ids)
    await emptied(page)
    await shop.settled_once()


@pytest.mark.parametrize("goes", [False, True], ids=["comes", "goes"])
async def test_a_gateway_that_comes_or_goes_refuses_no_event(open_shop: OpenShop, *, goes: bool) -> None:
    """The event is sent again soon, not after an hour, if the gateway comes or goes between a post and the check."""
    shop = await open_shop()
    page = await shop.open()
    looks = 0

    async def way(route: Route) -> None:
        nonlocal looks
        look = '"events":[]' in (route.request.post_data or "")
        looks += look
        # It comes with the first check, or answers only the first and then the third.
        there = looks >= 3 or (looks == 1 and (look or not goes))
        await (route.continue_() if there else route.abort())

    await page.route("**/events", way)
    ids = await track(page, ["shoes"])

    await shop.arrived(ids)


async def test_an_origin_that_is_not_listed_is_named(open_shop: OpenShop) -> None:
    """The browser hides the gateway's answer; state and console name the likely cause."""
    shop = await open_shop()
    page = await shop.context.new_page()
    await page.goto(shop.origin.replace("127.0.0.1", "localhost"))
    await page.wait_for_function("bridge.loaded")
    await track(page, ["a"])

    async def waiting() -> bool:
        return (await state_of(page))[0] == "waiting"

    await wait_until(waiting, budget_seconds=20, describe="the refusal")
    assert "not on the script's list" in (await state_of(page))[1]


@pytest.mark.parametrize("command", ["identify", "toString", "constructor", "__proto__", ""])
async def test_an_unknown_command_is_named(open_shop: OpenShop, command: str) -> None:
    """The warning lists the known commands."""
    shop = await open_shop()
    page = await shop.open()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    assert await page.evaluate("command => bridge(command) === undefined", command)

    await wait_until(lambda: said, budget_seconds=20, describe="the warning")
    assert said == [f"bridge: {command} was ignored: the commands are track,optout,optin,state"]


async def test_the_state_of_a_visitor_who_opted_out(open_shop: OpenShop) -> None:
    """The state is blocked, with the opt-out as its reason."""
    shop = await open_shop()
    page = await shop.open()
    await page.evaluate("bridge('optout')")

    assert await state_of(page) == ("blocked", "the visitor opted out", 0)


@pytest.mark.parametrize("policy", ["no-referrer", "same-origin"])
async def test_a_beacon_arrives_under_a_strict_referrer_policy(open_shop: OpenShop, policy: str) -> None:
    """Chromium sends the true origin with it."""
    shop = await open_shop()
    page = await shop.open()
    ids = await track(page, ["first"])
    await shop.arrived(ids)
    await emptied(page)
    await page.evaluate(
        "policy => document.head.insertAdjacentHTML('beforeend', `<meta name=referrer content=${policy}>`)", policy
    )
    leave = "() => { const id = bridge('track', 'leave'); dispatchEvent(new Event('pagehide')); return id }"
    ids.append(await page.evaluate(leave))

    await shop.arrived(ids)
