"""The services and people that connect to Postgres, each with a database account of its own."""

from enum import StrEnum


class Service(StrEnum):
    """A worker's account also runs `bridge process`; the owner's runs migrations and the operators' commands.

    A reader's is of those who query: it runs no process of the product.
    """

    WORKER = "worker"
    GATEWAY = "gateway"
    API = "api"
    OWNER = "owner"
    READER = "reader"


PROCESSES = (Service.WORKER, Service.GATEWAY, Service.API)
"""Those that run all the time, whose accounts should have no more grants than they need."""

SERVICES = (*PROCESSES, Service.OWNER)
"""Those of an installation; a reader comes beside them."""
