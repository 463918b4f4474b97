"""Changes of single topic configs, which aiokafka lacks.

aiokafka's own `alter_configs` resets every config that it is not given.
"""

from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from aiokafka.protocol.admin import AlterConfigsResponse_v0
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.types import Array, Boolean, Int8, Schema, String

_SET = 0

Configs = Mapping[str, Mapping[str, str]]


class _IncrementalAlterConfigsResponse(AlterConfigsResponse_v0):  # type: ignore[misc]  # aiokafka is untyped
    """The answer, in the form of that to `alter_configs`."""

    API_KEY = 44


class _IncrementalAlterConfigsStruct(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _IncrementalAlterConfigsResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(
                        ("name", String("utf-8")),
                        ("config_operation", Int8),
                        ("value", String("utf-8")),
                    ),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class _IncrementalAlterConfigsRequest(Request[_IncrementalAlterConfigsStruct]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 44

    def __init__(self, resources: list[tuple[int, str, list[tuple[str, int, str]]]]) -> None:
        self._resources = resources

    def build(self, request_struct_class: type[_IncrementalAlterConfigsStruct]) -> _IncrementalAlterConfigsStruct:
        return request_struct_class(self._resources, False)


async def read_configs(client: AIOKafkaAdminClient, wanted: Configs) -> dict[str, dict[str, str]]:
    """Return Kafka's values of the wanted configs of each topic; raises KafkaError."""
    if not wanted:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs)) for topic, configs in wanted.items()]
    found: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(resources):
        for code, message, _, topic, entries in response.resources:
            if code:
                raise for_code(code)(f"reading the configs of {topic}: {message}")
            found[topic] = {entry[0]: entry[1] for entry in entries}
    return found


async def set_configs(client: AIOKafkaAdminClient, wanted: Configs) -> None:
    """Set these configs of each topic and keep all others; raises KafkaError."""
    resources = [
        (int(ConfigResourceType.TOPIC), topic, [(name, _SET, value) for name, value in configs.items()])
        for topic, configs in wanted.items()
    ]
    if not resources:
        return
    request = _IncrementalAlterConfigsRequest(resources)
    response = await client._send_request(request)  # noqa: SLF001  # the only way to send this request
    for code, message, _, topic in response.resources:
        if code:
            raise for_code(code)(f"setting configs of {topic}: {message}")
