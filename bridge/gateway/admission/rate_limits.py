"""Rate limits for each script and client address in one gateway process.

Visitors (browsers with a token) and servers (clients with an API key) have separate limits, so visitors can't use up
the limits of servers.
"""

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Final

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.shares import organisation_of, turn_of
from bridge.http.token_buckets import Buckets, SharedBuckets
from schemas.config.settings import Settings
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender

_VISITORS_SHARE: Final = 0.25
_ADDRESS_SHARE: Final = 0.25
"""Share of a script's limit of visitors' events that one address may use."""
_SCRIPTS_OF_REFUSED: Final = 4
"""An address's limit of refused events for all scripts together is its limit for one script times this factor."""
_ALL: Final = "visitors"
_MINUTE: Final = 60.0
_MOST_SECONDS: Final = 2.0
"""Seconds without work after which a script that exceeded its share of the time has no debt any more."""


class EventLimits:
    """The limits that the events of one request count towards: all of them, or none."""

    __slots__ = ("_address", "_own", "_shared")

    def __init__(
        self,
        address: str,
        own: tuple[tuple[Buckets, Hashable], ...],
        shared: tuple[tuple[SharedBuckets, Hashable], ...],
    ) -> None:
        """`own` and `shared` are the buckets with the name of the request's bucket; `address` uses the shared ones."""
        self._address = address
        self._own = own
        self._shared = shared

    def ask(self, count: int) -> None:
        """Check whether each limit has room for `count` events, and count nothing; raises Problem if one has not."""
        for buckets, name in self._own:
            buckets.ask(name, count)
        for shared, name in self._shared:
            shared.ask(name, self._address, count)

    def charge(self, count: int) -> None:
        """Count `count` events, and refuse none; later events may be refused for it."""
        for buckets, name in self._own:
            buckets.charge(name, count)
        for shared, name in self._shared:
            shared.charge(name, self._address, count)

    def take(self, count: int) -> None:
        """Count `count` events towards each limit. Raises Problem if one is exhausted; then they count towards none."""
        self.ask(count)
        self.charge(count)


class _SenderLimits:
    """The rate limiters of one sender class."""

    def __init__(self, settings: Settings, sender: Sender, share: float, now: Callable[[], float]) -> None:
        def buckets(what: str, rate: float, most_debt: float = math.inf) -> Buckets:
            return Buckets(f"{what}, {sender}s", rate, now, most_debt=most_debt)

        # A server's address belongs to the owner of the script, so its events only count for the script and organisation.
        is_visitor = sender is Sender.VISITOR

        def shared(what: str, rate: float) -> SharedBuckets:
            return SharedBuckets(f"{what}, {sender}s", rate, now, shared=is_visitor)

        events = settings.gateway_script_events_per_second
        validated = share * settings.gateway_validate_events_per_second
        of_an_address = _ADDRESS_SHARE if is_visitor else 0.0
        self.events = shared("events of one script", events)
        self._script_address_events = buckets("events of one address", of_an_address * events)
        self.address_events = buckets(
            "events of one address for all scripts", settings.gateway_address_events_per_second if is_visitor else 0
        )
        self.org_events = buckets(
            "events of one organisation", 0 if is_visitor else settings.gateway_org_events_per_second
        )
        of_all = settings.gateway_visitors_events_per_second if is_visitor else 0
        self.visitors_events = SharedBuckets("events of all visitors", of_all, now)
        self.validated = shared("validated events of one script", validated)
        self._address_validated = buckets("validated events of one address", of_an_address * validated)
        self.script_bytes = shared("bytes of one script", settings.gateway_script_bytes_per_second)
        self.address_bytes = buckets("bytes of one address", share * settings.gateway_address_bytes_per_second)
        # This limit refuses no request: a script may use all the time while no other needs it. Its debt lasts seconds.
        time_share = share * settings.gateway_script_time_share
        self.script_time = buckets("seconds of work for one script", time_share, most_debt=_MOST_SECONDS * time_share)
        address_time = settings.gateway_address_time_share if is_visitor else 0.0
        self.address_time = buckets("seconds of work for one address", address_time)

    def events_of(self, script: Script, address: str) -> EventLimits:
        """Return the limits of the script's events from this client address.

        Visitors (browsers) have no limit by organisation; servers have none by address.
        """
        return EventLimits(
            address,
            (
                (self._script_address_events, (script.script_id, address)),
                (self.address_events, address),
                (self.org_events, organisation_of(script)),
            ),
            ((self.events, script.script_id), (self.visitors_events, _ALL)),
        )

    def validated_of(self, script: Script, address: str) -> EventLimits:
        """Return the limits of the script's events from this client address that are only validated."""
        return EventLimits(
            address,
            ((self._address_validated, (script.script_id, address)),),
            ((self.validated, script.script_id),),
        )


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
            ("org_events", "org_events"),
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

    __slots__ = ("_address", "_charged", "_limits", "_script_id", "_seconds", "turn")

    def __init__(self, rate_limits: RateLimits, grant: Grant, address: str) -> None:
        self._limits = rate_limits.of(grant.sender)
        self._script_id, self._address = grant.script.script_id, address
        self.turn = turn_of(grant, address)
        self._charged = 0
        self._seconds = 0.0

    def owes_nothing(self) -> None:
        """Raise Problem if earlier requests used more bytes, or more of the address's time, than is refilled yet."""
        self._limits.script_bytes.owes_nothing(self._script_id, self._address, self._charged)
        self._limits.address_bytes.owes_nothing(self._address, self._charged)
        self._limits.address_time.owes_nothing(self._address, self._seconds)

    @property
    def exceeds_time(self) -> bool:
        """Return whether the script has exceeded its share of the event loop's time; then other requests go first."""
        return self._limits.script_time.debt(self._script_id) > 0

    def charge(self, size: int) -> None:
        """Charge `size` bytes that were received or inflated."""
        self._charged += size
        self._limits.script_bytes.charge(self._script_id, self._address, size)
        self._limits.address_bytes.charge(self._address, size)

    def charge_time(self, seconds: float) -> None:
        """Charge `seconds` of the loop's time."""
        self._seconds += seconds
        self._limits.script_time.charge(self._script_id, seconds)
        self._limits.address_time.charge(self._address, seconds)
