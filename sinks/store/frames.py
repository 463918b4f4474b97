"""Encryption of an object in frames, so that any change, cut, exchange or repetition of its bytes is refused; pure.

The object is a header (a magic text and a salt) and frames. A frame is its length, whose highest bit marks the last
frame, and a piece that AES-256-GCM encrypts. The nonce has the frame's number and whether it is the last one. The key
is derived from the operator's key, the salt and the object's own name, so that no two objects have the same.
"""

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import Damaged

CIPHER: Final = "AES-256-GCM in frames"
PIECE: Final = 1 << 20
"""The size of a frame's piece before encryption, in bytes; the last one is shorter."""
_MAGIC: Final = b"GLBFRAMES1"
_SALT: Final = 16
_TAG: Final = 16
_HEAD: Final = 4
_LAST: Final = 1 << 31


class FrameKeys(NamedTuple):
    """The keys of one object: `frames` encrypts, `manifest` authenticates its description, `key_id` recognises both."""

    salt: bytes
    frames: bytes
    manifest: bytes
    key_id: str


def frame_keys(key: str, name: str, salt: bytes | None = None) -> FrameKeys:
    """Derive the keys of the object `name` from the operator's key; with a new salt if none is given."""
    salt = salt or secrets.token_bytes(_SALT)

    def derived(purpose: str, length: int) -> bytes:
        info = f"ghostlink bridge backup\0{purpose}\0{name}".encode()
        return HKDF(SHA256(), length, salt, info).derive(key.encode())

    return FrameKeys(salt, derived("frames", 32), derived("manifest", 32), derived("key id", 8).hex())


def code_of(keys: FrameKeys, text: bytes) -> str:
    """Return the code that authenticates `text` for the holders of the key."""
    return hmac.new(keys.manifest, text, hashlib.sha256).hexdigest()


async def encrypted(pieces: AsyncIterator[bytes], keys: FrameKeys) -> AsyncIterator[bytes]:
    """Yield the object that has `pieces` as its content."""
    cipher, header = AESGCM(keys.frames), _MAGIC + keys.salt
    yield header
    unsent, number = bytearray(), 0
    async for piece in pieces:
        unsent += piece
        while len(unsent) > PIECE:
            yield _frame(cipher, header, number, bytes(unsent[:PIECE]), last=False)
            del unsent[:PIECE]
            number += 1
    yield _frame(cipher, header, number, bytes(unsent), last=True)


async def decrypted(pieces: AsyncIterator[bytes], keys: FrameKeys) -> AsyncIterator[bytes]:
    """Yield the content of an object, each piece after it is authenticated.

    Raises Damaged at the first piece that is not what was written, and at an object that ends too early or late.
    """
    cipher, header = AESGCM(keys.frames), _MAGIC + keys.salt
    unread, number, last = bytearray(), 0, False
    begun = False
    async for piece in pieces:
        unread += piece
        if not begun and len(unread) >= len(header):
            if bytes(unread[: len(header)]) != header:
                raise Damaged("the encrypted dump is damaged: its header is not the one in the manifest")
            del unread[: len(header)]
            begun = True
        while begun and len(unread) >= _HEAD:
            length, ends = int.from_bytes(unread[:_HEAD]) & ~_LAST, bool(int.from_bytes(unread[:_HEAD]) & _LAST)
            if last or not _TAG <= length <= PIECE + _TAG:
                raise Damaged(f"the encrypted dump is damaged at frame {number}: its length can't be")
            if len(unread) < _HEAD + length:
                break
            yield _opened(cipher, header, number, bytes(unread[_HEAD : _HEAD + length]), last=ends)
            del unread[: _HEAD + length]
            number, last = number + 1, ends
    if not last or unread:
        raise Damaged(f"the encrypted dump is damaged: it ends in frame {number}, which is not its end")


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])


def _frame(cipher: AESGCM, header: bytes, number: int, piece: bytes, *, last: bool) -> bytes:
    sealed = cipher.encrypt(_nonce(number, last=last), piece, header)
    return (len(sealed) | (_LAST if last else 0)).to_bytes(_HEAD) + sealed


def _opened(cipher: AESGCM, header: bytes, number: int, sealed: bytes, *, last: bool) -> bytes:
    try:
        return cipher.decrypt(_nonce(number, last=last), sealed, header)
    except InvalidTag:
        raise Damaged(f"the encrypted dump is damaged at frame {number}: it is not what was written") from None
