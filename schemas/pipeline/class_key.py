"""Keys of one event id by class of sender: alike but for the last byte, so that all of them lie on one index page."""

from typing import Final

from schemas.pipeline.sender import Sender

_CODES: Final = {Sender.VISITOR: 1, Sender.SERVER: 2, Sender.DIRECT: 3}
_FLIPPED: Final = {sender: [bytes([last ^ code]) for last in range(256)] for sender, code in _CODES.items()}


def slot_key(plain: bytes, sender: Sender) -> bytes:
    """The key that an event of this class takes where another class holds the plain key."""
    return plain[:-1] + _FLIPPED[sender][plain[-1]]


def class_key(plain: bytes, sender: Sender) -> bytes:
    """What tells the event from those of other classes in memory; that of `direct` is the plain key.

    Taken twice, the function gives the plain key back.
    """
    return plain if sender is Sender.DIRECT else slot_key(plain, sender)
