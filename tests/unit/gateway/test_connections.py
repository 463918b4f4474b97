"""The connections that a process keeps, closes and refuses."""

from bridge.http.problems import Code
from bridge.http.wire.connections import Connections


class Guest:
    """A connection."""

    def __init__(self) -> None:
        self.closed = False

    def give_way(self) -> None:
        self.closed = True


def entered(table: Connections, address: str, count: int) -> list[Guest]:
    guests = [Guest() for _ in range(count)]
    for guest in guests:
        assert table.enter(guest, address) is None
    return guests


def test_an_address_has_a_share_and_closes_its_own() -> None:
    """The longest idle connection of the same address is closed."""
    table = Connections(100, 3)
    others = entered(table, "a", 2)
    own = entered(table, "b", 3)
    table.works(own[0])
    table.works(own[1])
    table.waits(own[1])
    entered(table, "b", 1)
    assert [one.closed for one in own] == [False, False, True]
    entered(table, "b", 1)
    assert [one.closed for one in own] == [False, True, True]
    assert not any(one.closed for one in others)


def test_a_share_in_flight_refuses_more_of_its_address() -> None:
    """Other addresses are admitted, and so is the same one after a connection ends."""
    table = Connections(100, 2)
    own = entered(table, "a", 2)
    for one in own:
        table.works(one)
    assert table.enter(Guest(), "a") is Code.RATE_LIMITED
    entered(table, "b", 2)
    table.leave(own[0])
    table.leave(own[0])
    entered(table, "a", 1)


def test_under_pressure_the_longest_idle_gives_way() -> None:
    """The address does not matter; without an idle connection the new one is refused."""
    table = Connections(3, 0)
    own = entered(table, "a", 3)
    table.works(own[0])
    entered(table, "b", 1)
    assert [one.closed for one in own] == [False, True, False]
    table = Connections(2, 0)
    for one in entered(table, "a", 2):
        table.works(one)
    assert table.enter(Guest(), "b") is Code.OVERLOADED


def test_under_pressure_the_address_with_the_most_idle_gives_way() -> None:
    """A flood from many addresses closes none of a client that was there before and still sends its body."""
    table = Connections(100, 0)
    (early,) = entered(table, "client", 1)
    flood = [one for number in range(200) for one in entered(table, f"flood {number % 16}", 1)]

    assert not early.closed
    assert sum(one.closed for one in flood) == 101
    assert [one.closed for one in flood[:16]] == [True] * 16


def test_few_of_the_refused_hear_why() -> None:
    """Each answered refusal is a connection beyond the limit."""
    table = Connections(1, 0)
    refused = [Guest() for _ in range(1000)]
    hearing = [one for one in refused if table.hears_why(one)]
    assert 0 < len(hearing) < 200
    table.leave(hearing[0])
    assert table.hears_why(refused[-1])


def test_what_has_left_leaves_nothing() -> None:
    """A closed connection leaves no state, whether it was idle, in flight or evicted."""
    table = Connections(2, 2)
    for one in [*entered(table, "a", 2), *entered(table, "b", 1)]:
        table.works(one)
        table.leave(one)
        table.waits(one)
    assert not any((table._addresses, table._held, table._waiting_of, table._by_count[0], table._turned_away))
    assert len(table._by_count) == 1
