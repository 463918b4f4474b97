"""All faults by name."""

from faults.catalogue import broker, postgres, workers
from faults.catalogue.base import Fault

CATALOGUE: dict[str, type[Fault]] = {fault.name: fault for fault in (*workers.FAULTS, *broker.FAULTS, *postgres.FAULTS)}
