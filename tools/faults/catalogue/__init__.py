"""All faults by name."""

from tools.faults.catalogue import broker, clock, database, network, postgres, producers, topics, workers
from tools.faults.catalogue.base import Fault

CATALOGUE: dict[str, type[Fault]] = {
    fault.name: fault
    for part in (workers, broker, postgres, database, network, producers, topics, clock)
    for fault in part.FAULTS
}
