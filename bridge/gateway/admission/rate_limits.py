"""Rate limits for each script and client address in one gateway process.

Visitors (browsers with a token) and servers (clients with an API key) have separate limits, so visitors can't use up
the limits of servers.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.shares import turn_of
from bridge.http.token_buckets import Buckets
from schemas.config.settings import Settings
from schemas.pipeline.sender import Sender

_VISITORS_SHARE: Final = 0.25
_ADDRESS_SHARE: Final = 0.25
"""Share of a script's limit of visitors' events that one address may use."""
_LITTLE: Final = 1 / 32
_KEPT_FOR_LITTLE: Final = 1 / 4
"""Share of the limit for all visitors that is reserved for addresses that use at most `_LITTLE` of the limit."""
_SCRIPTS_OF_REFUSED: Final = 4
"""An address's limit of refused events for all scripts together is its limit for one script times this factor."""
_ALL: Final = "visitors"
_MINUTE: Final = 60.0
_MOST_SECONDS: Final = 2.0
"""Seconds without work after which a script that exceeded its share of the time has no debt any more."""


class _SenderLimits:
    """The rate limiters of one sender class."""

    def __init__(self, settings: Settings, sender: Sender, share: float, now: Callable[[], float]) -> None:
        def buckets(what: str, rate: float, most_debt: float = math.inf) -> Buckets:
            return Buckets(f"{what}, {sender}s", rate, now, most_debt=most_debt)

        events = settings.gateway_script_events_per_second
        validated = share * settings.gateway_validate_events_per_second
        # A server's address belongs to the owner of the script, so its events only count for the script.
        is_visitor = sender is Sender.VISITOR
        of_an_address = _ADDRESS_SHARE if is_visitor else 0.0
        self.events = buckets("events of one script", events)
        self._script_address_events = buckets("events of one address", of_an_address * events)
        self.address_events = buckets(
            "events of one address for all scripts", settings.gateway_address_events_per_second if is_visitor else 0
        )
        of_all = settings.gateway_visitors_events_per_second if is_visitor else 0
        self.visitors_events = Buckets("events of all visitors", of_all, now)
        little = _LITTLE * of_all
        self._little = buckets("little of all events", little, most_debt=_MINUTE * little)
        self.validated = buckets("validated events of one script", validated)
        self._address_validated = buckets("validated events of one address", of_an_address * validated)
        self.script_bytes = buckets("bytes of one script", settings.gateway_script_bytes_per_second)
        self.address_bytes = buckets("bytes of one address", share * settings.gateway_address_bytes_per_second)
        # This limit refuses no request: a script may use all the time while no other needs it. Its debt lasts seconds.
        time_share = share * settings.gateway_script_time_share
        self.script_time = buckets("seconds of work for one script", time_share, most_debt=_MOST_SECONDS * time_share)
        address_time = settings.gateway_address_time_share if is_visitor else 0.0
        self.address_time = buckets("seconds of work for one address", address_time)

    def take_events(self, script_id: str, address: str, count: int) -> None:
        """Count `count` events towards the limits of the script, the client address and all visitors (browsers).

        Raises Problem if one of these limits is exhausted; then the events count towards none of them.
        """
        pair = script_id, address
        self._script_address_events.ask(pair, count)
        self.address_events.ask(address, count)
        self.events.ask(script_id, count)
        self.visitors_events.ask(_ALL, count, left=_KEPT_FOR_LITTLE if self._little.debt(address) else 0.0)
        self.charge_events(script_id, address, count)

    def charge_events(self, script_id: str, address: str, count: int) -> None:
        """Count `count` events like `take_events`, and refuse none; later events may be refused for it."""
        self._script_address_events.charge((script_id, address), count)
        self.address_events.charge(address, count)
        self.events.charge(script_id, count)
        self.visitors_events.charge(_ALL, count)
        self._little.charge(address, count)

    def take_validated(self, script_id: str, address: str, count: int) -> None:
        """Take `count` events from the limits of `events:validate`, in the same way as `take_events`."""
        self._address_validated.ask((script_id, address), count)
        self.validated.ask(script_id, count)
        self.charge_validated(script_id, address, count)

    def charge_validated(self, script_id: str, address: str, count: int) -> None:
        """Count `count` events like `take_validated`, and refuse none; later events may be refused for it."""
        self._address_validated.charge((script_id, address), count)
        self.validated.charge(script_id, count)


class RateLimits:
    """All rate limiters, with a bucket for each script or address. `now` is a monotonic clock in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self.requests = Buckets("requests of one address", settings.gateway_address_requests_per_second, now)
        self.refused_per_minute = settings.gateway_visitor_refused_per_minute
        self.refused_of_an_address = most = _SCRIPTS_OF_REFUSED * self.refused_per_minute
        rate = self.refused_per_minute / _MINUTE
        self.refused = Buckets("visitors' refused events", rate, now, burst=self.refused_per_minute)
        self._address_refused = Buckets("refused events of one address", most / _MINUTE, now, burst=most)
        self._by_sender = {
            Sender.SERVER: _SenderLimits(settings, Sender.SERVER, 1.0, now),
            Sender.VISITOR: _SenderLimits(settings, Sender.VISITOR, _VISITORS_SHARE, now),
        }

    def of(self, sender: Sender) -> _SenderLimits:
        """Return the rate limiters of a sender class."""
        return self._by_sender[sender]

    def lets_refused(self, script_id: str, address: str) -> bool:
        """Return whether one more visitor's event that the stream will refuse may be sent to Kafka; count it if so."""
        # An event over the script's limit takes nothing from the address's limit.
        return self.refused.grant((script_id, address)) and self._address_refused.grant(address)

    def seconds_until_refused(self, script_id: str, address: str) -> int:
        """Return the whole seconds until `lets_refused` permits another event."""
        return max(self.refused.seconds_until((script_id, address)), self._address_refused.seconds_until(address))

    def most_used(self) -> Iterator[tuple[str, float]]:
        """Yield each limit's name, and the highest use of the limit by one script or address since the last call.

        A use of 1 is the whole limit.
        """
        yield "address", self.requests.most_used()
        for what, name in (
            ("script", "events"),
            ("address_events", "address_events"),
            ("visitors_events", "visitors_events"),
            ("validate", "validated"),
            ("script_bytes", "script_bytes"),
            ("address_bytes", "address_bytes"),
            ("address_time", "address_time"),
        ):
            yield what, max(getattr(one, name).most_used() for one in self._by_sender.values())


class Bill:
    """The account of one request: the bytes and the processor time that it uses.

    Both are charged to the limits of the request's script and client address, also if the request is refused.
    """

    __slots__ = ("_bytes", "_charged", "_seconds", "_times", "turn")

    def __init__(self, rate_limits: RateLimits, grant: Grant, address: str) -> None:
        own, script_id = rate_limits.of(grant.sender), grant.script.script_id
        self.turn = turn_of(grant, address)
        self._charged = 0
        self._seconds = 0.0
        self._bytes = ((own.script_bytes, script_id), (own.address_bytes, address))
        self._times = ((own.script_time, script_id), (own.address_time, address))

    def owes_nothing(self) -> None:
        """Raise Problem if earlier requests used more bytes, or more of the address's time, than is refilled yet."""
        for buckets, name in self._bytes:
            buckets.owes_nothing(name, self._charged)
        of_address, address = self._times[1]
        of_address.owes_nothing(address, self._seconds)

    @property
    def exceeds_time(self) -> bool:
        """Return whether the script has exceeded its share of the event loop's time; then other requests go first."""
        of_script, script_id = self._times[0]
        return of_script.debt(script_id) > 0

    def charge(self, size: int) -> None:
        """Charge `size` bytes that were received or inflated."""
        self._charged += size
        for buckets, name in self._bytes:
            buckets.charge(name, size)

    def charge_time(self, seconds: float) -> None:
        """Charge `seconds` of the loop's time."""
        self._seconds += seconds
        for buckets, name in self._times:
            buckets.charge(name, seconds)
