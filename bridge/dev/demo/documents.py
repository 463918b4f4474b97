"""Documents of events as web sites send them: page views, clicks, forms and purchases, in both schema versions."""

from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final, NamedTuple

from schemas.uuid7 import uuid7

Document = dict[str, Any]

SITES: Final = 20
_SITES_PER_ORG = 4
_CLOCK_ERRORS_MS = (0, 0, 250, -4_000, 3_600_000, -9 * 3_600_000, 20 * 3_600_000)
_ZONES = (UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-7)), timezone(timedelta(hours=5, minutes=30)))
_TYPES = (
    ("page_view", "pageview", "Page View", "page_viewed"),
    ("page_view", "view", "page-view"),
    ("click", "clicked", "tap"),
    ("form_submit", "FormSubmit", "form-submitted", "submit"),
    ("purchase", "order_completed", "Purchased", "checkout_completed"),
    ("video_play", "scroll_depth", "newsletter_opened"),
)
_PATHS = ("/", "/shop/shoes", "/shop/shoes/trail-runner", "/caf%C3%A9/menu", "/blog/2026/spring", "/checkout/done")
_SOURCES = ("google", "newsletter", "instagram", "partner%20network")
_MEDIA = ("cpc", "email", "social", "affiliate")
_CAMPAIGNS = ("spring_sale", "brand", "launch+2026", "%EB%B4%84")
_REFERRERS = (
    "https://www.google.com/search?q=shoes",
    "https://www.instagram.com/",
    "https://news.example.org/a/1",
    None,
)
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
)
_LABELS = ("add to cart", "장바구니에 담기", "in den Warenkorb", "🛒", 'the "big" one')
_CURRENCIES = ("EUR", "USD", "krw", "JPY", "GBP")


class DemoScript(NamedTuple):
    """A script (a source of a site's events) of the demonstration, registered or not."""

    script_id: str
    site_id: int

    @property
    def org_id(self) -> int:
        """Return the organisation of the site."""
        return (self.site_id - 1) // _SITES_PER_ORG + 1


def written_time(epoch_ms: int, random: Random) -> str | int:
    """Return the time in a form that producers use: milliseconds since the epoch, or RFC 3339 in some time zone."""
    if random.random() < 0.5:
        return epoch_ms
    moment = datetime.fromtimestamp(epoch_ms / 1000, random.choice(_ZONES))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_document(script: DemoScript, occurred_ms: int, random: Random) -> Document:
    """Build a valid event of the script. It occurred at `occurred_ms`, in milliseconds since the epoch."""
    names = random.choice(_TYPES)
    document: Document = {
        "event_id": uuid7(occurred_ms, random.randbytes),
        "site_id": script.site_id,
        "script_id": script.script_id,
        "event_type": random.choice(names),
        "session_id": f"s-{random.getrandbits(64):016x}",
        "visitor_id": f"v-{random.getrandbits(48):012x}",
        "user_agent": random.choice(_AGENTS),
    }
    _add_times(document, occurred_ms, random)
    if random.random() < 0.3:
        document["properties"] = {"label": random.choice(_LABELS), "position": random.randrange(40)}
    if random.random() < 0.05:
        document["experiment"] = {"name": "checkout-button", "variant": random.choice("ab")}
    page = {"url": _url(script.site_id, random), "referrer": random.choice(_REFERRERS)}
    amount = _amount(random) if "purchase" in names else None
    if amount is not None:
        document["currency"] = random.choice(_CURRENCIES)
    if random.random() < 0.3:
        return document | {"schema_version": 2, "page": page} | ({} if amount is None else {"amount": amount})
    return document | page | ({} if amount is None else {"value": amount})


def _add_times(document: Document, occurred_ms: int, random: Random) -> None:
    """Add the times to the event. Some clocks are wrong: the stream corrects these times by `sent_at`."""
    error_ms = 0
    if random.random() < 0.4:
        error_ms = random.choice(_CLOCK_ERRORS_MS)
        document["sent_at"] = written_time(occurred_ms + error_ms + random.randrange(5_000), random)
    document["occurred_at"] = written_time(occurred_ms + error_ms, random)


def _url(site_id: int, random: Random) -> str:
    url = f"https://shop-{site_id}.example.com{random.choice(_PATHS)}"
    if random.random() < 0.6:
        url += (
            f"?utm_source={random.choice(_SOURCES)}&utm_medium={random.choice(_MEDIA)}"
            f"&utm_campaign={random.choice(_CAMPAIGNS)}&id={random.randrange(10_000)}"
        )
    return url + ("#reviews" if random.random() < 0.2 else "")


def _amount(random: Random) -> str | float:
    cents = random.randrange(99, 50_000)
    return f"{cents // 100}.{cents % 100:02}" if random.random() < 0.5 else cents / 100
