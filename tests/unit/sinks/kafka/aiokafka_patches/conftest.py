"""The client with the product's patches, as the tests of this folder use it."""

from collections.abc import Iterator

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords

from sinks.kafka.aiokafka_patches import codecs as kafka_codecs
from sinks.kafka.aiokafka_patches.codecs import bound_inflation

MOST = 1024 * 1024


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Patch the client, with the limit of a megabyte, and undo it after the test."""
    before = {
        (module, name): getattr(module, name)
        for module in kafka_codecs._modules()
        for name in (f"{one}_decode" for one in kafka_codecs._INFLATE)
        if hasattr(module, name)
    }
    patched = fetcher.MemoryRecords, FetchResult.getall, PartitionRecords._consumer_record
    bound_inflation(MOST)
    yield
    fetcher.MemoryRecords, FetchResult.getall, PartitionRecords._consumer_record = patched
    for (module, name), function in before.items():
        setattr(module, name, function)
