"""Where a batch of records ends in Kafka's log. Its header says so, even if no client can read its records."""

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, LeaderNotAvailableError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

_WAIT_MS = 1000
_ONE_BATCH = 1
"""The most bytes of an answer. Kafka returns the first batch whole, whatever its size."""
_READ_UNCOMMITTED = 0


async def batch_end(client: AIOKafkaClient, partition: TopicPartition, offset: int) -> int:
    """Return the offset after the last record of the batch that contains `offset`. No record is read.

    Raises KafkaError if Kafka can't answer, or has no batch there.
    """
    leader = client.cluster.leader_for_partition(partition)
    if leader is None or leader < 0:
        raise LeaderNotAvailableError(f"{partition.topic}-{partition.partition} has no leader")
    wanted = [(partition.topic, [(partition.partition, offset, _ONE_BATCH)])]
    answer = await client.send(leader, FetchRequest(_WAIT_MS, 1, _ONE_BATCH, _READ_UNCOMMITTED, wanted))
    ((_, ((_, code, *_, found),)),) = answer.topics
    if code:
        raise for_code(code)(f"asking for the batch at offset {offset}")
    batches = MemoryRecords(found)
    if not batches.has_next() or (end := batches.next_batch().next_offset) <= offset:
        raise KafkaError(f"no batch at offset {offset}")
    return int(end)
