"""`bridge dlq`: shows why events were dropped, and replays or discards dead letters; one file for each verb.

A dead letter is an event that was dropped: refused for its content, or still failing after its last retry.
"""

from typing import Final

from bridge.cli.lazy import group, loading

_PLACES: Final = {
    "groups": "dlq.groups:groups",
    "list": "dlq.list:list_",
    "show": "dlq.show:show",
    "export": "dlq.export:export",
    "discard": "dlq.discard:discard",
    "plan": "dlq.plan:plan",
    "replay": "dlq.replay:replay",
    "status": "dlq.plans:status",
    "plans": "dlq.plans:plans",
    "cancel": "dlq.cancel:cancel",
}

dlq_app = group("dlq", "List, replay and discard dead letters: events that were dropped.", cls=loading(_PLACES))
