"""The guess of a broken document's owner."""

import pytest

from schemas.pipeline.guess import GUESSED_BYTES, NOTHING, Guess, guess


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"event_id": "e-1" "site_id": 21, "script_id": "globex-web"', Guess(21, "globex-web", "e-1")),
        (b"{'site_id' : '21', script_id: 'globex-web'}", Guess(21, "globex-web")),
        (b'\xff\xfe{"site_id":21', Guess(21)),
        (b'{"site_id": 21, "page": {"site_id": 21', Guess(21)),
        (b'{"site_id": 21}{"site_id": 11}', NOTHING),
        (b'{"site_id": 0', NOTHING),
        (b'{"site_id": 1234567890123456789', NOTHING),
        (b'{"my_site_id": 21', NOTHING),
        (b'{"script_id": "' + b"x" * 129 + b'"', NOTHING),
        (b'{"script_id": "a\\u0000b"', NOTHING),
        (b'{"a": "' + b"x" * GUESSED_BYTES + b'", "site_id": 21', NOTHING),
        (b"site_id" * 10_000, NOTHING),
        (b"", NOTHING),
        (None, NOTHING),
    ],
)
def test_a_guess_is_what_the_text_names_once(text: bytes | None, found: Guess) -> None:
    """The rest may be broken; a text with two sites gives no guess."""
    assert guess(text) == found
