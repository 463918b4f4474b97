"""Limits on what a SCRAM server may make a client compute before client and server are authenticated.

The client computes a digest as many times (iterations) as the server asks for, and blocks the event loop meanwhile. The
protocol allows two billion iterations, which take half an hour.
"""

import re
from typing import Final

MOST_ROUNDS: Final = 100_000
"""The most iterations, which take about 50 ms. Postgres' default is 4096, and Kafka allows 16384."""
_LONGEST: Final = 1024
# https://datatracker.ietf.org/doc/html/rfc5802#section-7; neither Postgres nor Kafka sends extensions.
_FIRST: Final = re.compile(rb"r=([!-+\--~]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9][0-9]{0,9})")


def problem_of(first: bytes) -> str | None:
    """Return what is wrong with a SCRAM server's first message, None if it is acceptable.

    The message has the nonce, the salt and the iteration count.
    """
    read = _FIRST.fullmatch(first) if len(first) <= _LONGEST else None
    if read is None:
        return "the server's SCRAM message is malformed; nothing was computed: check the address"
    if (rounds := int(read[3])) > MOST_ROUNDS:
        return (
            f"the server asks for {rounds} rounds of SCRAM, of at most {MOST_ROUNDS}: nothing was computed; check that "
            "the address is the server's; if it is, set the account's password again with fewer rounds"
        )
    return None
