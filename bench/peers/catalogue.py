"""The peers by name, with the command that starts each."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.peers import connect, flink
from bench.peers.place import Place


@dataclass(frozen=True)
class Peer:
    """A peer; `command` prepares its files in the place and returns the command line of one foreground process.

    `bar` is how many times faster this product has to be. `against` names the product's variant: one worker for peers
    with one thread, two for peers that use both cores. A `slow` one takes many minutes for a million events.
    """

    title: str
    command: Callable[[Place], list[str]]
    bar: float
    against: str = "product"
    slow: bool = False


def _python(module: str, *words: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [str(place.python), "-m", f"bench.peers.{module}", *words, place.kafka, place.open_url, place.topic]

    return command


PEERS = {
    "faust-agent": Peer("Faust agent, one by one", _python("faust_agent", "agent"), 30.0, slow=True),
    "faust-take": Peer("Faust take(500)", _python("faust_agent", "take"), 5.0, slow=True),
    "quix": Peer("Quix Streams", _python("quix"), 3.0),
    "aiokafka": Peer("aiokafka, executemany", _python("aiokafka_loop"), 1.0),
    "connect": Peer("Kafka Connect, 4 tasks", connect.command, 1.6, "product-2"),
    "flink": Peer("Flink SQL, parallelism 2", flink.command, 1.4, "product-2"),
}
