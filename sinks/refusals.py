"""Messages about Postgres errors: either that Postgres is away, or what it refuses and the remedy."""

from typing import Final

from schemas.errors import BridgeError, RowRejected

# SQLSTATE classes of an unavailable server: no answer, out of connections or space, a shutdown, a cancelled statement,
# a system error.
_AWAY: Final = ("08", "53", "57", "58")
_REMEDIES: Final = {
    "28": "correct the user and the password of BRIDGE_DATABASE_URL, or pg_hba.conf",
    "3D": "create the database, or correct BRIDGE_DATABASE_URL",
    "3F": "correct the search_path of BRIDGE_DATABASE_URL, the database or the role",
    "42501": "run `bridge db grants ROLE --service SERVICE --apply` as the schema's owner; `bridge db check` names what is missing",
    "42P01": "run `bridge db migrate`; `bridge db check` names what differs",
    "42": "run `bridge db check`, which names what differs",
    "25006": "point BRIDGE_DATABASE_URL at the primary, or reset default_transaction_read_only",
    "55P03": "run the command again when no other session holds the lock",
    "22": "correct the options of BRIDGE_DATABASE_URL",
}


def refusal(error: BridgeError, when: str = "") -> str:
    """Return one line for an error of Postgres: cause, error and remedy. `when` is a text such as `at start`."""
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    moment = f" {when}" if when else ""
    said = " ".join(str(error).split()).removesuffix(".")
    if not sqlstate or sqlstate.startswith(_AWAY):
        return f"Postgres is away{moment}: {said}; start it, or correct BRIDGE_DATABASE_URL"
    # If a statement refuses a value, the URL is not the cause.
    kind = "" if isinstance(error, RowRejected) else sqlstate[:2]
    remedy = _REMEDIES.get(sqlstate) or _REMEDIES.get(kind) or "see `bridge db check` and Postgres' log"
    return f"Postgres refuses a needed operation{moment}: {said}; {remedy}"
