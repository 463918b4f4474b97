"""The keys of one event id by sender class.

They differ in the last byte only, so that they share a page of the index.
"""

from typing import Final

from schemas.pipeline.sender import Sender

_CODES: Final = {Sender.VISITOR: 1, Sender.SERVER: 2, Sender.DIRECT: 3}
_FLIPPED: Final = {sender: [bytes([last ^ code]) for last in range(256)] for sender, code in _CODES.items()}


def slot_key(plain: bytes, sender: Sender) -> bytes:
    """Return the second key, for an event of this class when another class holds the plain key."""
    return plain[:-1] + _FLIPPED[sender][plain[-1]]


def class_key(plain: bytes, sender: Sender) -> bytes:
    """Return the key that distinguishes sender classes in memory; for `direct` it is the plain key.

    Applied to its own result, the function returns the plain key.
    """
    return plain if sender is Sender.DIRECT else slot_key(plain, sender)
