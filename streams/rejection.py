"""How decoding and normalising say that an event cannot pass, and what could still be read of whose it is."""

from typing import Protocol

from schemas.reasons import ErrorClass


class Identity(Protocol):
    """Whose event it is, as far as it could be read."""

    event_id: str | None
    site_id: int | None
    script_id: str | None


class Rejection(Exception):
    """One attempt failed because of the event: the class of error, and the field and the rule in words."""

    def __init__(self, error_class: ErrorClass, message: str, identity: Identity | None = None) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.identity = identity
