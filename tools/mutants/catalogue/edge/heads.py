"""The mechanisms that bound how often connections are read whose requests arrive in small pieces."""

from tools.mutants.mutant import Edit, Mutant

SLOW = "tests/unit/gateway/test_slow_heads.py"

MUTANTS = [
    Mutant(
        "slow-heads",
        "the rest of a connection whose bytes complete no part of a request",
        (Edit("bridge/http/wire/reading.py::ReadingProtocol._rests", "self.slow.rests(...)", "self.reads_again()"),),
        (f"{SLOW}::test_a_connection_rests_after_a_piece_that_completes_nothing",),
    ),
    Mutant(
        "slow-heads-at-once",
        "the number of connections that are read again at once after their rest",
        (Edit("bridge/http/wire/slow_heads.py::SlowHeads._wake", "woken < AT_ONCE", "True"),),
        (f"{SLOW}::test_few_connections_are_read_again_at_once_and_addresses_take_turns",),
    ),
]
