"""Token buckets: rate limits of scripts and addresses, in bounded memory.

A bucket holds tokens up to a limit and is refilled at a rate. A request takes tokens, and is refused if the bucket has
too few. Some work is charged after it is done, even if the bucket has too few tokens: the missing tokens are the
bucket's debt, and its refill pays the debt first.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from bridge.http.problems import Code, Problem

MOST_BUCKETS: Final = 20_000
_RESERVE: Final = 1 / 4
"""Share of a shared bucket that is reserved for users that used at most `_LITTLE` of its rate."""
_LITTLE: Final = 1 / 32
_MINUTE: Final = 60.0


class Buckets:
    """A token bucket for each name, such as a script or a client address.

    Each bucket holds up to `burst` tokens, by default two seconds' refill, and is refilled with `rate` tokens a second.
    A rate of 0 means no limit. A bucket's debt (tokens charged that it did not have) is at most `most_debt`. The
    fraction `reserve` of a full bucket is for the callers that may use it; debt doesn't lower it. At most 20,000 buckets
    are kept: the least recently used one is removed, and is full if its name is used again. `what` names the tokens in
    errors. `now` is a monotonic clock in seconds.
    """

    def __init__(
        self,
        what: str,
        rate: float,
        now: Callable[[], float],
        *,
        burst: float = 0,
        most_debt: float = math.inf,
        reserve: float = 0.0,
    ) -> None:
        self._what = what
        self._rate = rate
        self._burst = burst or 2.0 * rate
        self._most_debt = most_debt
        self._reserve = reserve * self._burst
        self._now = now
        self._kept: OrderedDict[Hashable, tuple[float, float, float]] = OrderedDict()
        """For each name the bucket's level, its debt, and the time of both."""
        self._asked: dict[Hashable, float] = {}
        self._asked_since = now()

    def take(self, name: Hashable, count: int) -> None:
        """Take `count` tokens. Raises Problem, with the seconds until they are available.

        If `count` is more than a bucket can hold, it is taken from a full bucket. The missing tokens are a debt, which
        the refill pays before later requests get tokens.
        """
        self.ask(name, count)
        self.charge(name, count)

    def ask(self, name: Hashable, count: int, *, all_of_it: bool = False) -> None:
        """Check whether `take` would succeed, and take nothing; raises Problem if not.

        With `all_of_it`, the caller may use the reserve.
        """
        if not self._rate:
            return
        level, debt = self._now_at(name)
        reserve = 0.0 if all_of_it else self._reserve
        lacking = min(count, self._burst - reserve) - (level - reserve - (0.0 if all_of_it else debt))
        if lacking > 0:
            self._keep(name, level, debt, count)
            raise self._problem(lacking)

    def charge(self, name: Hashable, count: float, *, all_of_it: bool = False) -> None:
        """Take tokens for work that is done already, with `all_of_it` also from the reserve.

        If the bucket has too few tokens, the missing ones become a debt. While the debt exists,
        `owes_nothing` refuses requests.
        """
        if self._rate and count:
            level, debt = self._now_at(name)
            taken = min(count, max(0.0, level - (0.0 if all_of_it else self._reserve)))
            self._keep(name, level - taken, debt + count - taken, count)

    def debt(self, name: Hashable) -> float:
        """Return the debt of the bucket: tokens that were charged without being available, and are not refilled yet.

        0 means that the bucket has no debt.
        """
        return self._now_at(name)[1] if self._rate and name in self._kept else 0.0

    def level(self, name: Hashable) -> float:
        """Return the tokens in the bucket, less its debt."""
        level, debt = self._now_at(name)
        return level - debt

    def owes_nothing(self, name: Hashable, own: float = 0, *, all_of_it: bool = False) -> None:
        """Raise Problem while the bucket has a debt of more than `own`, the part that this request has caused.

        With `all_of_it`, do so only while the reserve is used up too.
        """
        if (debt := self.debt(name) - own) > 0 and not (all_of_it and self._now_at(name)[0] > 0):
            raise self._problem(debt)

    def grant(self, name: Hashable) -> bool:
        """Take one token if one is available; returns whether one was."""
        if not self._rate:
            return True
        level, debt = self._now_at(name)
        granted = level >= 1
        self._keep(name, level - granted, debt, 1)
        return granted

    def seconds_until(self, name: Hashable) -> int:
        """Return the whole seconds until a token is available."""
        return self._seconds(1 - self.level(name))

    def _now_at(self, name: Hashable) -> tuple[float, float]:
        """Return the bucket's level and debt. The refill pays the debt with what the reserve does not need."""
        now = self._now()
        level, debt, at = self._kept.get(name, (self._burst, 0.0, now))
        level += (now - at) * self._rate
        paid = min(debt, max(0.0, level - self._reserve))
        return min(self._burst, level - paid), debt - paid

    def _keep(self, name: Hashable, level: float, debt: float, asked: float) -> None:
        self._kept[name] = level, min(debt, self._most_debt), self._now()
        self._kept.move_to_end(name)
        self._asked[name] = self._asked.get(name, 0) + asked
        if len(self._kept) > MOST_BUCKETS:
            forgotten, _ = self._kept.popitem(last=False)
            self._asked.pop(forgotten, None)

    def _seconds(self, lacking: float) -> int:
        return max(1, math.ceil(lacking / self._rate)) if self._rate else 1

    def _problem(self, lacking: float) -> Problem:
        return Problem(Code.RATE_LIMITED, f"{self._what}: {self._rate:g} a second", retry_after=self._seconds(lacking))

    def most_used(self) -> float:
        """Return the highest use of any bucket since the last call.

        The use is the number of tokens that requests asked for, divided by the tokens refilled in this time. Above 1,
        requests were refused.
        """
        now, asked = self._now(), max(self._asked.values(), default=0)
        seconds, self._asked_since = now - self._asked_since, now
        self._asked.clear()
        return asked / (self._rate * seconds) if asked and seconds > 0 else 0.0


class SharedBuckets:
    """Token buckets from which several users draw, such as a script's, which its visitors' addresses share.

    The last quarter of a bucket is reserved for users that used little of it: at most a thirty-second of its rate,
    averaged over up to a minute. So a few users can't cause refusals for all others, not even by a debt.
    """

    def __init__(self, what: str, rate: float, now: Callable[[], float], *, shared: bool = True) -> None:
        """The arguments are those of Buckets. If the users of a bucket are not `shared`, they are one, without reserve."""
        self._shared = shared
        self._all = Buckets(what, rate, now, reserve=_RESERVE if shared else 0.0)
        little = _LITTLE * rate if shared else 0.0
        self._of_user = Buckets(f"little of the {what}", little, now, most_debt=_MINUTE * little)

    def ask(self, name: Hashable, user: Hashable, count: int) -> None:
        """Check whether the user may take `count` tokens, and take nothing; raises Problem if not."""
        self._all.ask(name, count, all_of_it=self._used_little(name, user))

    def charge(self, name: Hashable, user: Hashable, count: float) -> None:
        """Take tokens for the user's work that is done already; missing tokens become a debt."""
        little = min(count, max(0.0, self._of_user.level((name, user)))) if self._shared else 0.0
        self._all.charge(name, little, all_of_it=True)
        self._all.charge(name, count - little)
        self._of_user.charge((name, user), count)

    def owes_nothing(self, name: Hashable, user: Hashable, own: float = 0) -> None:
        """Raise Problem while the bucket's debt, without `own`, the part that this request has caused, is not paid.

        For a user that used little, do so only while the reserve is used up too.
        """
        self._all.owes_nothing(name, own, all_of_it=self._used_little(name, user))

    def level(self, name: Hashable) -> float:
        """Return the tokens in the bucket, less its debt."""
        return self._all.level(name)

    def most_used(self) -> float:
        """Return the highest use of any bucket since the last call, as Buckets does."""
        return self._all.most_used()

    def _used_little(self, name: Hashable, user: Hashable) -> bool:
        return self._shared and not self._of_user.debt((name, user))
