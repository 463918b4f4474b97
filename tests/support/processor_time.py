"""A clock of the thread's processor time, for what is charged by it."""


class Clock:
    """Processor time that only the test moves on."""

    def __init__(self) -> None:
        self.now = 5.0

    def thread_time(self) -> float:
        return self.now
