"""The keys that one event id has in the table that detects duplicates, one for each sender class.

They differ in the last byte only, so that they share a page of the index.
"""

from typing import Final

from schemas.pipeline.sender import Sender

_CODES: Final = {Sender.VISITOR: 1, Sender.SERVER: 2, Sender.DIRECT: 3}
_FLIPPED: Final = {sender: [bytes([last ^ code]) for last in range(256)] for sender, code in _CODES.items()}


def slot_key(plain: bytes, sender: Sender) -> bytes:
    """Return the dedup key for an event whose `plain` key, that of its id, an event of another sender class has."""
    return plain[:-1] + _FLIPPED[sender][plain[-1]]


def class_key(plain: bytes, sender: Sender) -> bytes:
    """Return the key that distinguishes events of different sender classes in memory.

    For `direct` it is the plain key, without a class. Applied to its own result, the function returns the plain key.
    """
    return plain if sender is Sender.DIRECT else slot_key(plain, sender)
