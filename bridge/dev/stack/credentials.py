"""The passwords of the stack's Postgres, and the form in which the server stores them."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

_ITERATIONS = 4096


@dataclass(frozen=True)
class Credentials:
    """The passwords of the superuser and of the product's role.

    `applied` means that the server requires these passwords, and that the product's role owns the product's database.
    """

    admin: str = field(repr=False)
    product: str = field(repr=False)
    applied: bool = False

    @classmethod
    def new(cls) -> "Credentials":
        """Return two random passwords of 128 bits, which no server uses yet."""
        return cls(admin=secrets.token_hex(16), product=secrets.token_hex(16))


def scram_verifier(password: str) -> str:
    """Return the verifier that `ALTER ROLE ...

    PASSWORD` stores (RFC 5803), so that no statement contains the password.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored, server_key = hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server_key)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
