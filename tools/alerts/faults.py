"""Faults that are injected into the running product, each with the alert that has to fire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import asyncpg
import psutil
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import RecordsToDelete
from support.events.settled import event, fetch, produce
from support.events.unreadable import send_unreadable
from support.infrastructure.databases import beside
from support.processes.command import bridge
from support.wait import wait_until

from schemas.api_key import read_key
from schemas.config.settings import Settings
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import kafka_admin, log_bounds
from sinks.kafka.producer import make_producer
from sinks.postgres.tokens.script_tokens import revoke_token
from tools.alerts.product import Product

Act = Callable[[Product], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """An action on a healthy product and the alert that has to fire; `more` are settings of its processes."""

    alert: str
    strike: Act
    workers: int = 1
    gateways: int = 0
    more: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def elsewhere(settings: Settings) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    """Open a session in the maintenance database; yield it with the name of the product's database."""
    name = urlsplit(settings.dsn).path.removeprefix("/")
    conn = await asyncpg.connect(beside(settings.dsn))
    try:
        yield conn, name
    finally:
        await conn.close()


async def kill_all(product: Product) -> None:
    for worker in product.workers:
        worker.kill()


async def kill_one(product: Product) -> None:
    product.workers[0].kill()


async def refuse_connections(product: Product) -> None:
    async with elsewhere(product.settings) as (conn, name):
        await conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'",
            name,
        )


async def freeze_kafka(product: Product) -> None:
    """Stop the broker: it accepts connections and sends no response, as behind a firewall that drops packets."""
    port = int(product.settings.brokers.rpartition(":")[2])
    (pid,) = {
        one.pid for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    }
    broker = psutil.Process(pid)
    product.leave.callback(broker.resume)
    broker.suspend()


async def some_break_the_contract(product: Product) -> None:
    product.make = lambda number: event(number, event_type="") if number % 10 == 0 else event(number)


async def a_few_break_the_contract(product: Product) -> None:
    """Break more than 1 % of the events within 10 minutes of the rules' time, and less than 3 % within 5 minutes."""
    await produce(product.settings, [event(number, event_type="") for number in range(28)])


async def all_break_the_contract(product: Product) -> None:
    product.make = lambda number: event(number, event_type="")


async def nobody_knows_the_script(product: Product) -> None:
    product.make = lambda number: event(number, script_id="nobody")


async def spoil_a_total(product: Product) -> None:
    await fetch(product.settings, "UPDATE stream_offset SET live = live + 1 WHERE partition = 0")


async def age_a_dead_letter(product: Product) -> None:
    await produce(product.settings, [event(1, event_type="")])

    async def aged() -> bool:
        statement = (
            "UPDATE bridge_event_raw SET outcome_at = now() - interval '8 days' WHERE disposition = 'open' RETURNING 1"
        )
        return bool(await fetch(product.settings, statement))

    await wait_until(aged, budget_seconds=20, describe="a dead letter in the ledger")


async def runs_that_are_cut_off(product: Product) -> None:
    for _ in range(2):
        words = ("process", "--timeout-sec", "0.001", "--json-output", "-")
        done = await asyncio.to_thread(bridge, *words, settings=product.environment)
        assert done.returncode == 1, done.stderr


async def more_than_it_can_take(product: Product) -> None:
    product.rate = 1500


async def delete_what_is_unread(product: Product) -> None:
    """Delete the records of a partition that is paused as unreadable; a second worker starts and detects the loss."""
    settings = product.settings
    await send_unreadable(settings, "bad")
    held = "SELECT 1 FROM stream_offset WHERE held IS NOT NULL"
    await wait_until(lambda: fetch(settings, held), budget_seconds=60, describe="a partition that is held")
    await produce(settings, [event(number) for number in range(10_000, 10_020)])
    source = TopicPartition(settings.topics.raw, 0)
    bounds = await log_bounds(settings, [source.topic])
    async with kafka_admin(settings) as client:
        await client.delete_records({KafkaPartition(*source): RecordsToDelete(before_offset=bounds[source].end)})
    product.start_worker()


async def lock_the_events(product: Product) -> None:
    """Lock bridge_event in a session that isn't the product's, so that no worker ends it."""
    conn = await asyncpg.connect(product.settings.dsn)
    await conn.execute("BEGIN")
    await conn.execute("LOCK TABLE bridge_event IN ACCESS EXCLUSIVE MODE")
    product.leave.push_async_callback(conn.close)


async def kill_one_gateway(product: Product) -> None:
    product.gateways[1].kill()


async def kill_the_gateways(product: Product) -> None:
    for gateway in product.gateways:
        gateway.kill()


async def forget_the_key(product: Product) -> None:
    product.key, product.requests = "sk_nobody", 30


async def revoke_the_key(product: Product) -> None:
    """Revoke the key and continue to send with it, as a server that doesn't have its new one."""
    read = read_key(product.key)
    assert read is not None
    await revoke_token(product.settings.dsn, "s1", read[0])
    product.requests = 30


async def ask_too_much(product: Product) -> None:
    """Enlarge each request, so that a few requests a second are enough on a busy machine."""
    product.batch = 40


async def leave_a_transaction_open(product: Product) -> None:
    """Leave a transaction of a live producer open; Kafka would abort it after a quarter of an hour."""
    producer = make_producer(
        product.settings, transactional_id="forgetful", enable_idempotence=True, transaction_timeout_ms=900_000
    )
    await producer.start()
    product.leave.push_async_callback(producer.stop)
    await producer.begin_transaction()
    await producer.send_and_wait(product.settings.topics.raw, event(1), partition=0)


FAULTS = {
    "every worker is gone": Fault("BridgeWorkersDown", kill_all),
    "one of two workers is gone": Fault("BridgeWorkerDown", kill_one, workers=2),
    "Postgres refuses connections": Fault("BridgeServiceAway", refuse_connections),
    "Kafka does not answer": Fault("BridgeKafkaAway", freeze_kafka),
    "a lane is stuck": Fault("BridgeConsumerStuck", lock_the_events, more={"BRIDGE_LOCK_TIMEOUT": "10m"}),
    "more comes than is settled": Fault(
        "BridgeLagging", more_than_it_can_take, more={"BRIDGE_BATCH_MAX_RECORDS": "2", "BRIDGE_LANES": "1"}
    ),
    "a tenth breaks the contract": Fault("BridgeFailureRateHigh", some_break_the_contract),
    "a few break the contract": Fault("BridgeDeadLettersIncreasing", a_few_break_the_contract),
    "all break the contract": Fault("BridgeBrakeEngaged", all_break_the_contract),
    "the script is not registered": Fault(
        "BridgeRetriesWithoutSuccess", nobody_knows_the_script, more={"BRIDGE_RETRY_DELAYS": "60s,120s"}
    ),
    "records are deleted unread": Fault("BridgeLostRecords", delete_what_is_unread),
    "a running total is wrong": Fault("BridgeAuditImbalance", spoil_a_total),
    "a dead letter lies for a week": Fault("BridgeDeadLetterOld", age_a_dead_letter),
    "a transaction is never ended": Fault("BridgeTransactionOpen", leave_a_transaction_open),
    "one of two gateways is gone": Fault("BridgeGatewayDown", kill_one_gateway, gateways=2),
    "every gateway is gone": Fault("BridgeGatewaysDown", kill_the_gateways, gateways=1),
    "a key is wrong": Fault("BridgeVisitorsAuthFailuresSpike", forget_the_key, gateways=1),
    "a key is revoked": Fault("BridgeAuthFailuresSpike", revoke_the_key, gateways=1),
    "a script asks too much": Fault(
        "BridgeRateLimitingSpike", ask_too_much, gateways=1, more={"BRIDGE_GATEWAY_SCRIPT_EVENTS_PER_SECOND": "15"}
    ),
    "runs fail": Fault("BridgeRunsFailing", runs_that_are_cut_off),
}
