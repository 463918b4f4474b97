"""The kernel's view of the other end of a connection."""

from pathlib import Path

from support.wait import wait_until


async def read_all(server: int, *own: int) -> None:
    """Wait until the server at that port has read all bytes sent from the own ports."""

    def read() -> bool:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if int(local[-4:], 16) == server and int(remote[-4:], 16) in own and int(queues.rpartition(":")[2], 16):
                return False
        # A connection that is not listed is closed.
        return True

    await wait_until(read, budget_seconds=30, describe="the server to read what was sent")
