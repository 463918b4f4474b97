"""The sender classes of a commit."""

import msgspec
import pytest
from support.events.making import judged, record

from schemas.pipeline.outcome import Candidate
from schemas.pipeline.sender import Sender
from sinks.senders import count_senders, only_sender


def of(*senders: Sender) -> list[Candidate]:
    (one,) = judged(record()).candidates
    replace = msgspec.structs.replace
    return [replace(one, event=replace(one.event, sender=sender), sender=sender) for sender in senders]


@pytest.mark.parametrize("sender", Sender)
def test_candidates_of_one_class_have_it_in_common(sender: Sender) -> None:
    assert only_sender(of(sender, sender, sender)) is sender


def test_candidates_of_several_classes_have_none_in_common() -> None:
    assert only_sender(of(Sender.DIRECT, Sender.SERVER)) is None
    assert only_sender(of(Sender.SERVER, Sender.DIRECT, Sender.SERVER)) is None
    assert only_sender([]) is None


@pytest.mark.parametrize(
    "senders",
    [(), (Sender.SERVER,) * 3, (Sender.DIRECT, Sender.VISITOR, Sender.DIRECT)],
    ids=["none", "one", "several"],
)
def test_counts_are_those_of_each_class(senders: tuple[Sender, ...]) -> None:
    candidates = of(*senders)
    assert count_senders(candidates, only_sender(candidates)) == {one: senders.count(one) for one in Sender}
