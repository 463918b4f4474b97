"""The event loop that Faust runs on."""

from mode.loop import use


def use_uvloop() -> None:
    """Has Faust run on uvloop. Call it before anything else of Faust is loaded."""
    use("uvloop")
