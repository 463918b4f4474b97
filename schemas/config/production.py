"""The checks at the start of a process in production.

They find settings with which no process may start, and say for each what to change.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import combinations, pairwise, product
from typing import Final, NamedTuple

from pydantic import SecretStr

from schemas.config.addresses import broker_hosts, database_address, is_local, names_hosts_twice, web_host
from schemas.config.derived_keys import WHSEC, Purpose, derived_key, signing_key
from schemas.config.environment import unknown_variables
from schemas.config.service import PROCESSES, Service
from schemas.config.settings import Allowance, Settings

SECRET_LENGTH: Final = 32
WEBHOOK_KEY_BYTES: Final = 24
"""The shortest key that Standard Webhooks allows, in bytes."""
PASSWORD_LENGTH: Final = 8
REPLICAS: Final = 3
IN_SYNC: Final = 2
# A secret with fewer different characters, or with fewer different steps between neighbours, was typed by a person.
_LEAST_VARIETY = 8
_RANDOM_TEXT = "make one, e.g. `openssl rand -hex 32`"
_ENCRYPTED = ("require", "verify-ca", "verify-full")
_WELL_KNOWN = frozenset(
    [
        "admin",
        "bridge",
        "default",
        "example",
        "ghostlink",
        "guest",
        "kafka",
        "password",
        "postgres",
        "root",
        "secret",
        "test",
        "user",
        "123456",
        "12345678",
    ]
)
# Words that people use in secrets. Of generated secrets, about one in ten million contains one of them.
_TYPED = (b"bridge", b"ghostlink", b"passphrase", b"password", b"production", b"secret", b"webhook")
_URL_SAFE = str.maketrans("-_", "+/")
_OF_PURPOSE = {
    "BRIDGE_GATEWAY_PROOF_KEY": Purpose.GATEWAY_PROOF,
    "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET": Purpose.WEBHOOK,
}
"""Settings whose value may be a key derived from BRIDGE_SECRET_KEY. `bridge keys show` prints it for other services."""
_PLACEHOLDER = ("change", "replace", "your", "xxx", "<", "todo")


class Guard(NamedTuple):
    """One rule that settings have to fulfil in production. `check` yields a line for each violation.

    `allowed_by` is the name with which BRIDGE_PRODUCTION_ALLOW allows violations, None if they can't be allowed.
    """

    check: Callable[[Settings], Iterable[str]]
    allowed_by: Allowance | None = None


def refusals(settings: Settings, unknown: Iterable[str] | None = None, service: Service = Service.GATEWAY) -> list[str]:
    """Return why `service` may not start in production with these settings, one line each; [] if it may.

    `unknown` has the lines about environment variables that are no settings; by default those of this process.
    """
    lines = list(unknown_variables() if unknown is None else unknown)
    lines += _keys(settings, service)
    for check, allowed_by in GUARDS:
        if allowed_by not in settings.production_allow:
            remedy = "" if allowed_by is None else f", or allow it: BRIDGE_PRODUCTION_ALLOW={allowed_by}"
            lines += [line + remedy for line in check(settings)]
    return lines


def _missing(settings: Settings) -> Iterator[str]:
    if not settings.database_url.get_secret_value():
        yield "BRIDGE_DATABASE_URL is not set: give postgresql://user:password@host:port/name?sslmode=verify-full"
    if not settings.kafka_bootstrap_servers:
        yield "BRIDGE_KAFKA_BOOTSTRAP_SERVERS is not set: give host:port, more by commas"


def _loopback(settings: Settings) -> Iterator[str]:
    for name, hosts in _places(settings):
        local = sorted({one or "a Unix socket" for one in hosts if is_local(one)})
        if local:
            yield f"{name} leads to this machine ({', '.join(local)}), where production has no such service: name the service's host"


def _places(settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name of the setting of each service that the product connects to, with the hosts in the setting.

    The services are Kafka, Postgres and the receiver of webhook calls.
    """
    if url := settings.database_url.get_secret_value():
        yield "BRIDGE_DATABASE_URL", database_address(url).hosts or ("",)
    if servers := settings.kafka_bootstrap_servers:
        yield "BRIDGE_KAFKA_BOOTSTRAP_SERVERS", broker_hosts(servers)
    if settings.worker_alert_webhook is not None:
        # The rule for malformed addresses reports a ValueError.
        with suppress(ValueError):
            yield "BRIDGE_WORKER_ALERT_WEBHOOK", (web_host(settings.worker_alert_webhook.get_secret_value()),)


def _malformed(settings: Settings) -> Iterator[str]:
    if url := settings.database_url.get_secret_value():
        address = database_address(url)
        lacking = [name for name in ("user", "database") if not getattr(address, name)]
        if lacking:
            yield f"BRIDGE_DATABASE_URL names no {' and no '.join(lacking)}: write the URL with all of its parts"
        if names_hosts_twice(url):
            yield (
                "BRIDGE_DATABASE_URL names hosts twice, before its path and in ?host=: services use the first, other "
                "programs the second: leave one of them"
            )
    if settings.worker_alert_webhook is not None:
        try:
            web_host(settings.worker_alert_webhook.get_secret_value())
        except ValueError as error:
            yield f"BRIDGE_WORKER_ALERT_WEBHOOK {error}: correct it, or unset it"


def _credentials(settings: Settings) -> Iterator[str]:
    address = database_address(url) if (url := settings.database_url.get_secret_value()) else None
    passwords = (
        ("BRIDGE_DATABASE_URL has", address.password if address else "", address.user if address else ""),
        ("BRIDGE_KAFKA_SASL_PASSWORD is", _text(settings.kafka_sasl_password), settings.kafka_sasl_username or ""),
    )
    for what, password, user in passwords:
        if _is_default(password, user):
            yield f"{what} a default password: give the account one of its own"
        elif 0 < len(password) < PASSWORD_LENGTH:
            yield f"{what} a password of {len(password)} characters: give the account one of at least {PASSWORD_LENGTH}"


def _keys(settings: Settings, service: Service) -> Iterator[str]:
    """Yield a line for each secret key that the service needs and the settings lack.

    Only the gateway needs BRIDGE_SECRET_KEY, from which its other keys are derived.
    """
    if service is Service.GATEWAY and not _text(settings.secret_key):
        yield f"BRIDGE_SECRET_KEY is not set: {_RANDOM_TEXT}"
    elif service in PROCESSES and not settings.proof_keys:
        yield (
            "BRIDGE_GATEWAY_PROOF_KEY is not set, nor BRIDGE_SECRET_KEY: set it to what `bridge keys show proof` prints "
            "under the gateway's settings"
        )
    if settings.worker_alert_webhook is not None and not settings.webhook_secrets:
        yield (
            "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET is not set, so that nothing signs: give it what "
            "`bridge keys show webhook` prints under the gateway's settings, or one of its own"
        )


def _random_keys(settings: Settings) -> Iterator[str]:
    for name, key in _secrets(settings):
        if name not in ("BRIDGE_SECRET_KEY", "BRIDGE_GATEWAY_PROOF_KEY"):
            continue
        if len(key) < SECRET_LENGTH:
            yield f"{name} has {len(key)} characters, at least {SECRET_LENGTH} are needed: {_RANDOM_TEXT}"
        elif _is_default(key, "") or not is_random(key.encode()):
            yield f"{name} is not random: {_RANDOM_TEXT}"


def _webhook_secret(settings: Settings) -> Iterator[str]:
    name, secret = "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET", _text(settings.worker_alert_webhook_secret)
    if settings.worker_alert_webhook_secret is None:
        return
    key = signing_key(secret)
    remedy = "make one, e.g. `echo whsec_$(openssl rand -base64 32)`, or unset it and see `bridge keys show webhook`"
    if _is_default(secret, ""):
        yield f"{name} is a default one: {remedy}"
    elif secret.startswith(WHSEC) and key == secret.encode():
        yield f"{name} has no base64 after {WHSEC}: {remedy}"
    elif len(key) < WEBHOOK_KEY_BYTES:
        yield f"{name} is a key of {len(key)} bytes, at least {WEBHOOK_KEY_BYTES} are needed: {remedy}"
    elif not is_random(key):
        yield f"{name} is not random: {remedy}"


def _one_purpose_each(settings: Settings) -> Iterator[str]:
    """Yield a line for each pair of settings with the same secret, also if the notations differ.

    Also yield a line for each setting that has the key which is derived from BRIDGE_SECRET_KEY for another purpose. If
    two purposes had the same secret, a person who has it for one purpose would have it for both.
    """
    given = list(_secrets(settings))
    for (name, secret), (other, same) in combinations(given, 2):
        if name != other and _notations(secret) & _notations(same):
            yield f"{other} is {name}, so that both have one value: give each purpose a secret of its own"
    if secret_key := _text(settings.secret_key):
        for purpose, (name, own) in product(Purpose, given):
            if _OF_PURPOSE.get(name) is not purpose and derived_key(secret_key, purpose) in _notations(own):
                yield (
                    f"{name} is the {purpose.name.lower().replace('_', ' ')} key of BRIDGE_SECRET_KEY: "
                    "give each purpose a secret of its own"
                )


def _secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each secret that is set, with the name of its setting."""
    url = settings.database_url.get_secret_value()
    for name, secret in (
        ("BRIDGE_SECRET_KEY", _text(settings.secret_key)),
        *(("BRIDGE_GATEWAY_PROOF_KEY", one.strip()) for one in _text(settings.gateway_proof_key).split(",")),
        ("BRIDGE_WORKER_ALERT_WEBHOOK_SECRET", _text(settings.worker_alert_webhook_secret)),
        ("BRIDGE_KAFKA_SASL_PASSWORD", _text(settings.kafka_sasl_password)),
        ("the password of BRIDGE_DATABASE_URL", database_address(url).password if url else ""),
    ):
        if secret:
            yield name, secret


def _notations(secret: str) -> set[bytes]:
    """Return all texts and bytes that a secret may mean, so that the same secret in two notations is found.

    They are its text, and what it decodes to as hex, base64, or a Standard Webhooks secret, also nested.
    """
    found, left = set[bytes](), [secret.encode()]
    while left:
        one = left.pop()
        if one and one not in found:
            found.add(one)
            for decode in (bytes.fromhex, _from_base64):
                with suppress(ValueError):
                    left.append(decode(one.decode("ascii").removeprefix(WHSEC)))
    return found


def _from_base64(text: str) -> bytes:
    """Decode base64 with the standard or the URL-safe alphabet, with or without padding; raises ValueError."""
    digits = "".join(text.split()).rstrip("=")
    return b64decode(digits.translate(_URL_SAFE) + "=" * (-len(digits) % 4))


def is_random(secret: bytes) -> bool:
    """Return whether a secret looks random.

    A random secret has many different characters, and no repetition, sequence or common word.
    """
    steps = {after - before for before, after in pairwise(secret)}
    threes = {secret[at : at + 3] for at in range(len(secret) - 2)}
    varied = min(len(set(secret)), len(steps)) >= _LEAST_VARIETY and len(threes) * 2 > len(secret)
    return varied and not any(word in secret.lower() for word in _TYPED)


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _is_default(password: str, user: str) -> bool:
    """Return whether a password is easy to guess.

    An empty password is not, because an account that connects with a certificate needs none.
    """
    plain = password.lower()
    return bool(plain) and (plain in _WELL_KNOWN or plain == user.lower() or plain.startswith(_PLACEHOLDER))


def _plaintext_kafka(settings: Settings) -> Iterator[str]:
    if "SSL" not in settings.kafka_security_protocol:
        yield (
            f"BRIDGE_KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol}, which encrypts nothing: "
            "set SASL_SSL or SSL"
        )


def _plaintext_postgres(settings: Settings) -> Iterator[str]:
    yield from _unencrypted("BRIDGE_DATABASE_URL", settings.database_url.get_secret_value())


def _unencrypted(name: str, url: str) -> Iterator[str]:
    if url and (mode := database_address(url).sslmode) not in _ENCRYPTED:
        yield f"{name} may talk without TLS (sslmode={mode}): add ?sslmode=verify-full, or require"


def refusals_of_another_database(settings: Settings, name: str, url: str) -> list[str]:
    """Return why production may not send its data to the database `url` of the option `name`, one line each."""
    if settings.env != "production" or "plaintext_postgres" in settings.production_allow:
        return []
    return [f"{line}, or allow it: BRIDGE_PRODUCTION_ALLOW=plaintext_postgres" for line in _unencrypted(name, url)]


def _plaintext_http(settings: Settings) -> Iterator[str]:
    for name in ("worker_alert_webhook", "sentry_dsn"):
        if _text(getattr(settings, name)).lower().startswith("http://"):
            yield f"BRIDGE_{name.upper()} begins with http://, which encrypts nothing: give an https:// one"


def _few_replicas(settings: Settings) -> Iterator[str]:
    for name, least in (("topic_replication", REPLICAS), ("topic_min_insync", IN_SYNC)):
        if (replicas := getattr(settings, name)) < least:
            yield f"BRIDGE_{name.upper()} is {replicas}: set {least}"


def _debug(settings: Settings) -> Iterator[str]:
    if settings.log_level == "DEBUG":
        yield "BRIDGE_LOG_LEVEL is DEBUG: set INFO"


def _without_a_service(settings: Settings) -> Iterator[str]:
    for name in ("startup_without_postgres", "startup_without_kafka"):
        if getattr(settings, name):
            yield f"BRIDGE_{name.upper()} is true: unset it, production starts with its services or not at all"


GUARDS: Final = (
    Guard(_missing),
    Guard(_malformed),
    Guard(_loopback, "loopback"),
    Guard(_credentials),
    Guard(_random_keys),
    Guard(_webhook_secret),
    Guard(_one_purpose_each),
    Guard(_plaintext_kafka, "plaintext_kafka"),
    Guard(_plaintext_postgres, "plaintext_postgres"),
    Guard(_plaintext_http, "plaintext_http"),
    Guard(_few_replicas, "few_replicas"),
    Guard(_debug, "debug"),
    Guard(_without_a_service),
)
"""Every guard, in the order of the report."""
