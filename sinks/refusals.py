"""What to say where Postgres did not do what was needed: that it is away, or what it refuses and how to mend that."""

from typing import Final

from schemas.errors import BridgeError, RowRejected

# No answer; out of connections or of space; shutting down, or a statement that was cut off; an error of its system.
_AWAY: Final = ("08", "53", "57", "58")
_REMEDIES: Final = {
    "28": "correct the user and the password of BRIDGE_DATABASE_URL, or pg_hba.conf",
    "3D": "create the database, or correct BRIDGE_DATABASE_URL",
    "3F": "correct the search_path of BRIDGE_DATABASE_URL, the database or the role",
    "42501": "run `bridge db grants ROLE --service SERVICE --apply` as the schema's owner; `bridge db check` names what is missing",
    "42P01": "run `bridge db migrate`; `bridge db check` names what differs",
    "42": "run `bridge db check`, which names what differs",
    "25006": "point BRIDGE_DATABASE_URL at the primary, or reset default_transaction_read_only",
    "55P03": "run it again when no other session is in its way",
    "22": "correct the options of BRIDGE_DATABASE_URL",
}


def refusal(error: BridgeError, when: str = "") -> str:
    """One line: who is at fault, the error, and the remedy. `when` says at what time, such as `at start`."""
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    moment = f" {when}" if when else ""
    said = " ".join(str(error).split()).removesuffix(".")
    if not sqlstate or sqlstate.startswith(_AWAY):
        return f"Postgres is away{moment}: {said}; start it, or correct BRIDGE_DATABASE_URL"
    # What a statement can't take of a value is nothing that the URL says.
    kind = "" if isinstance(error, RowRejected) else sqlstate[:2]
    remedy = _REMEDIES.get(sqlstate) or _REMEDIES.get(kind) or "see `bridge db check` and Postgres' log"
    return f"Postgres refuses what is needed{moment}: {said}; {remedy}"
