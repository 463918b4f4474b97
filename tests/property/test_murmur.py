"""The fast hash assigns every key to the same partition as aiokafka's hash."""

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from sinks.kafka.partitioner import partition_of


@given(st.binary(max_size=600), st.integers(1, 1000))
def test_a_key_goes_where_every_client_puts_it(key: bytes, partitions: int) -> None:
    """Duplicates from different producers go to one partition."""
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions
