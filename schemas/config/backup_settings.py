"""Settings of backups: the store, the key, the programs of Postgres, and how long backups are kept."""

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings

from schemas.config.declaring import duration, limit, setting
from schemas.config.duration import Duration
from schemas.config.store_address import store_address
from schemas.errors import InvalidInput

KEY_LENGTH = 32
"""The fewest characters of BRIDGE_BACKUP_KEY."""


class BackupSettings(BaseSettings):
    """The part of `Settings` for backups and restores."""

    store_url: str = setting(
        "",
        "where `bridge backup` and `bridge archive` store: file:///directory, or s3://bucket/prefix with the usual variables AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL",
    )
    backup_key: SecretStr | None = setting(
        None, "encrypts backups, at least 32 characters; a backup is lost if its key is lost"
    )
    backup_bytes_per_second: int = limit(
        0,
        "most bytes of a dump, compressed, that `bridge backup create` takes in a second, so that workers keep their speed",
    )
    backup_keep: Duration = duration("720h", "`bridge backup prune` removes backups that are older")
    backup_max_age: Duration = duration(
        "48h", "age of the oldest backup that might be restored, unless the newest verified backup is older"
    )
    restore_time: Duration = duration(
        "8h",
        "how long restoring that backup takes, if no verification took longer; `bridge doctor` compares retention with the "
        "age and this",
    )
    verify_database_url: SecretStr = setting(
        SecretStr(""),
        "a server's URL where `bridge backup verify` creates and drops a database; else the server of BRIDGE_DATABASE_URL",
    )
    restore_database_url: SecretStr = setting(
        SecretStr(""), "the URL of `bridge restore` if --to is not given, for a URL with a password"
    )
    pg_bin: str = setting(
        "",
        "directory of pg_dump and pg_restore; else the first ones on PATH or of the embedded server that are new enough",
    )

    @field_validator("store_url")
    @classmethod
    def _store_url(cls, value: str) -> str:
        if value:
            store_address(value)
        return value

    @field_validator("backup_key")
    @classmethod
    def _backup_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < KEY_LENGTH:
            raise ValueError(f"has fewer than {KEY_LENGTH} characters; make one, e.g. `openssl rand -hex 32`")
        return value

    @property
    def store(self) -> str:
        """The store's URL; raises InvalidInput if it is not set."""
        if not self.store_url:
            raise InvalidInput("BRIDGE_STORE_URL is not set; expected file:///directory or s3://bucket/prefix")
        return self.store_url
