"""Check of the certificate files that a Postgres URL names, so that an error message names the unreadable file.

The errors of the driver and of the TLS library don't name the file.
"""

import ssl
from collections.abc import Callable

from schemas.config.addresses import database_options


def unreadable_file(dsn: str) -> str | None:
    """Return the URL's option, the path and the reason of the first file that TLS can't use; None if there is none."""
    options = database_options(dsn)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def load_own(path: str) -> None:
        context.load_cert_chain(path, options.get("sslkey"), password=lambda: options.get("sslpassword", ""))

    loads: dict[str, tuple[str, Callable[[str], None]]] = {
        "sslrootcert": ("no certificates in", context.load_verify_locations),
        "sslcrl": ("no revoked certificates in", context.load_verify_locations),
        "sslcert": ("no certificate and key in", load_own),
    }
    for option, (lacking, load) in loads.items():
        path = options.get(option)
        if not path:
            continue
        try:
            load(path)
        except OSError as error:
            both = f"{path} and {options['sslkey']}" if option == "sslcert" and "sslkey" in options else path
            return f"{option}: {lacking} {both}: {error.strerror or error}"
    return None
