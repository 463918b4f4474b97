"""A fake clock of the thread's CPU time, for code that is charged by it."""


class Clock:
    """CPU time that only the test advances."""

    def __init__(self) -> None:
        self.now = 5.0

    def thread_time(self) -> float:
        return self.now
