"""The event loop that Faust runs on."""

from mode.loop import use


def use_uvloop() -> None:
    """Make Faust run on uvloop. Call this before any other part of Faust is imported."""
    use("uvloop")
