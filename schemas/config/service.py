"""The services and people that connect to Postgres. Each has a database account of its own."""

from enum import StrEnum


class Service(StrEnum):
    """The user of a database account: a service of the product, its owner, or a reader.

    A worker's account also runs `bridge process`. The owner's account runs migrations and operators' commands. A
    reader's account is for people who query; it runs no process of the product.
    """

    WORKER = "worker"
    GATEWAY = "gateway"
    API = "api"
    OWNER = "owner"
    READER = "reader"


PROCESSES = (Service.WORKER, Service.GATEWAY, Service.API)
"""Services that run continuously. Their accounts should have no more grants than they need."""

SERVICES = (*PROCESSES, Service.OWNER)
"""The services of every installation; a reader is optional."""
