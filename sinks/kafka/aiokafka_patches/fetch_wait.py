"""How long a broker holds a fetch that finds no records."""

from aiokafka import AIOKafkaConsumer


def hold_fetches(consumer: AIOKafkaConsumer, milliseconds: int) -> None:
    """Let brokers hold the consumer's next fetches for up to this time while none of their partitions has a record."""
    # aiokafka reads the value for each fetch, and can't change it by itself. A consumer that was not started has none.
    if (fetcher := consumer._fetcher) is not None:  # noqa: SLF001
        fetcher._fetch_max_wait_ms = milliseconds  # noqa: SLF001
