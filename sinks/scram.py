"""What a SCRAM server may ask a client to compute before either has proved anything.

The client works through as many rounds of a digest as the server says, in one piece in which its loop stands still. Two
billion of them, which the exchange allows, take half an hour.
"""

import re
from typing import Final

MOST_ROUNDS: Final = 100_000
"""Postgres' default is 4096, and Kafka allows 16384; these take some 50 ms."""
_LONGEST: Final = 1024
# https://datatracker.ietf.org/doc/html/rfc5802#section-7; neither Postgres nor Kafka sends extensions.
_FIRST: Final = re.compile(rb"r=([!-+\--~]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9][0-9]{0,9})")


def problem_of(first: bytes) -> str | None:
    """What is wrong about the server's first message of an exchange, which has its nonce, its salt and the rounds."""
    read = _FIRST.fullmatch(first) if len(first) <= _LONGEST else None
    if read is None:
        return "what listens there speaks SCRAM as no server does: nothing was computed"
    if (rounds := int(read[3])) > MOST_ROUNDS:
        return (
            f"the server asks for {rounds} rounds of SCRAM, of at most {MOST_ROUNDS}: nothing was computed; look at what "
            "listens there; if it is the server, set the account's password again with fewer rounds"
        )
    return None
