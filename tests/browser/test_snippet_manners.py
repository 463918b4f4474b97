"""The snippet's manners towards page and visitor: it respects opt-outs, stays within bounds, and never throws."""

from pathlib import Path

import pytest
from support.events.shop import STUB, OpenShop, emptied, queue_of
from support.wait import wait_until

NONSENSE = """() => {
  const ring = {}; ring.ring = ring;
  bridge(); bridge('dance'); bridge('track'); bridge('track', {type: 'x'});
  bridge('track', 'x', ring); bridge('track', 'x', {n: 1n});
  bridge('track', 'x', {get a() { throw 'no'; }}); bridge('track', 'x', {pad: 'y'.repeat(70000)});
}"""


async def test_opting_out_ends_it(open_shop: OpenShop) -> None:
    """The queue is emptied and nothing is tracked, also after a reload, until the visitor opts in."""
    shop = await open_shop()
    page = await shop.open()
    await shop.context.set_offline(True)
    await page.evaluate("for (let i = 0; i < 3; i++) bridge('track', 'click')")
    assert len(await queue_of(page)) == 3
    await page.evaluate("bridge('optout')")
    assert await queue_of(page) == []
    await shop.context.set_offline(False)
    await shop.reload(page)
    assert await page.evaluate("bridge('track', 'click') === undefined")
    assert await queue_of(page) == []
    await page.evaluate("bridge('optin')")

    await shop.arrived([await page.evaluate("bridge('track', 'click')")])


@pytest.mark.parametrize(
    ("attributes", "signal", "tracked"),
    [
        ('data-respect="gpc dnt"', "globalPrivacyControl", False),
        ('data-respect="gpc dnt"', "doNotTrack", False),
        ('data-respect="dnt"', "globalPrivacyControl", True),
        ("", "doNotTrack", True),
    ],
)
async def test_the_browsers_wish_is_respected_where_the_page_says_so(
    open_shop: OpenShop, attributes: str, signal: str, tracked: bool
) -> None:
    """The option decides, and the visitor's own opt-in has precedence."""
    shop = await open_shop(attributes)
    value = "true" if signal == "globalPrivacyControl" else "'1'"
    await shop.context.add_init_script(f"Object.defineProperty(navigator, '{signal}', {{get: () => {value}}})")
    page = await shop.open()

    assert await page.evaluate("bridge('track', 'click') !== undefined") == tracked
    await page.evaluate("bridge('optin')")
    assert await page.evaluate("bridge('track', 'click') !== undefined")


@pytest.mark.parametrize(
    "spoilt",
    [
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})",
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }",
        "Object.defineProperty(navigator, 'locks', {get: () => undefined})",
        "for (let i = 0; i < 9; i++) localStorage['bridge:x:event:' + i] = 'nonsense'",
    ],
    ids=["storage forbidden", "storage full", "no locks", "others' keys"],
)
async def test_a_poor_browser_still_sends(open_shop: OpenShop, spoilt: str) -> None:
    """Without storage the snippet keeps events in memory; without locks it sends without asking other tabs."""
    shop = await open_shop()
    await shop.context.add_init_script(f"try {{ {spoilt} }} catch (e) {{}}")
    page = await shop.open()
    ids = await page.evaluate("[1, 2, 3].map((number) => bridge('track', 'click', {number}))")

    await shop.arrived(ids)


async def test_what_visitors_write_into_the_page_leads_no_event_elsewhere(open_shop: OpenShop) -> None:
    """HTML elements can shadow the document's properties; the snippet reads the originals."""
    shop = await open_shop()
    hidden = ("currentScript", "querySelector", "referrer", "hidden", "addEventListener")
    elements = (f'<img name="{name}" src="http://127.0.0.1:9/bridge/{shop.script_id}.js">' for name in hidden)
    shop.written = "".join(elements) + '<form id="bridge"><input name="loaded"></form>'
    page = await shop.open()
    await page.wait_for_function("bridge instanceof Function")

    (row,) = await shop.arrived([await page.evaluate("bridge('track', 'click')")])
    assert row["referrer"] is None


def test_the_documented_page_has_the_stub_that_is_tested() -> None:
    """Customers copy it from there."""
    assert STUB in (Path(__file__).parents[2] / "docs" / "producers" / "browser.md").read_text()


@pytest.mark.parametrize(
    "element",
    [
        "<a id=bridge></a>",
        "<form id=bridge><input name=call></form>",
        "<img name=bridge>",
        "<object id=bridge></object>",
        "<iframe name=bridge></iframe>",
    ],
)
async def test_an_element_by_the_stubs_name_keeps_no_call_from_its_queue(open_shop: OpenShop, element: str) -> None:
    """Calls made before the snippet is loaded are tracked once it is."""
    shop = await open_shop()
    shop.written, shop.begun = element, "<script>bridge('track', 'first')</script>"
    page = await shop.open()
    await page.wait_for_function("bridge.loaded === true")

    async def first() -> bool:
        return [row["event_type"] for row in await shop.rows()] == ["first"]

    await wait_until(first, budget_seconds=40, describe="the event of before the snippet")
    assert shop.faults == []


async def test_nothing_is_thrown_into_the_page(open_shop: OpenShop) -> None:
    """Invalid calls are ignored with a warning on the console, and valid ones are sent."""
    shop = await open_shop()
    page = await shop.open()
    await page.evaluate(NONSENSE)
    assert await queue_of(page) == []
    await page.evaluate(f"localStorage['bridge:{shop.script_id}:token'] = 'not json'")
    await page.evaluate(f"localStorage['bridge:{shop.script_id}:event:0'] = 'not an event'")
    sound = await page.evaluate("bridge('track', 'click')")

    await shop.arrived([sound])
    await emptied(page)


async def test_the_queue_is_bounded(open_shop: OpenShop) -> None:
    """Bounds on number and size remove the oldest events; the others arrive."""
    shop = await open_shop()
    page = await shop.open()
    await shop.context.set_offline(True)
    many = await page.evaluate("Array.from({length: 1100}, () => bridge('track', 'click'))")
    assert len(await queue_of(page)) == 1000
    big = await page.evaluate("Array.from({length: 20}, () => bridge('track', 'big', {pad: 'y'.repeat(60000)}))")
    stored = await page.evaluate("Object.values(localStorage).reduce((sum, text) => sum + text.length, 0)")
    assert stored <= 1_001_000
    kept = {key.rpartition(":")[2] for key in await queue_of(page)}
    assert kept < {*many, *big}
    assert set(big[-10:]) <= kept
    await shop.context.set_offline(False)

    await emptied(page)
    await shop.arrived(sorted(kept))
