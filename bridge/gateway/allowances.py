"""What each script and each address may use of one gateway process: visitors' use takes nothing from servers' share."""

from collections.abc import Callable, Iterator
from typing import Final

from bridge.gateway.access import Grant
from bridge.http.limits import Buckets
from schemas.sender import Sender
from schemas.settings import Settings

_VISITORS_SHARE: Final = 0.25
_MINUTE: Final = 60.0


class _Allowances:
    """Those of one class of sender."""

    def __init__(self, settings: Settings, sender: Sender, share: float, now: Callable[[], float]) -> None:
        def buckets(what: str, rate: float) -> Buckets:
            return Buckets(f"{what}, {sender}s", rate, now)

        self.events = buckets("events of one script", settings.gateway_script_events_per_second)
        self.validated = buckets("validated events of one script", share * settings.gateway_validate_events_per_second)
        self.script_bytes = buckets("bytes of one script", settings.gateway_script_bytes_per_second)
        self.address_bytes = buckets("bytes of one address", share * settings.gateway_address_bytes_per_second)


class Allowances:
    """All of them; each is a bucket for each script or address. `now` is a monotonic clock in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self.requests = Buckets("requests of one address", settings.gateway_address_requests_per_second, now)
        self.refused_per_minute = settings.gateway_visitor_refused_per_minute
        rate = self.refused_per_minute / _MINUTE
        self.refused = Buckets("visitors' refused events", rate, now, burst=self.refused_per_minute)
        self._by_sender = {
            Sender.SERVER: _Allowances(settings, Sender.SERVER, 1.0, now),
            Sender.VISITOR: _Allowances(settings, Sender.VISITOR, _VISITORS_SHARE, now),
        }

    def of(self, sender: Sender) -> _Allowances:
        """Those of a class of sender."""
        return self._by_sender[sender]

    def most_used(self) -> Iterator[tuple[str, float]]:
        """The share of each rate that the busiest script or address asked for since this was asked last."""
        yield "address", self.requests.most_used()
        for what, name in (
            ("script", "events"),
            ("validate", "validated"),
            ("script_bytes", "script_bytes"),
            ("address_bytes", "address_bytes"),
        ):
            yield what, max(getattr(one, name).most_used() for one in self._by_sender.values())


class Bill:
    """What a request uses of its script's and its address's bytes: charged whatever the answer is."""

    __slots__ = ("_charged", "_names")

    def __init__(self, allowances: Allowances, grant: Grant, address: str) -> None:
        own = allowances.of(grant.sender)
        self._charged = 0
        self._names = ((own.script_bytes, grant.script.script_id), (own.address_bytes, address))

    def owes_nothing(self) -> None:
        """Raises Problem if other requests used more than there was."""
        for buckets, name in self._names:
            buckets.owes_nothing(name, self._charged)

    def charge(self, size: int) -> None:
        """Charges so many bytes, which came or were inflated, or the time that is charged as so many."""
        self._charged += size
        for buckets, name in self._names:
            buckets.charge(name, size)
