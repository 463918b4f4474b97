"""The `bridge` command line: one file per group of commands, each mounted here and imported when it is called."""

import sys

from schemas.errors import BridgeError


def main() -> None:
    """Runs the command line; every error of ours is one line on standard error and an exit code."""
    from bridge.cli.app import app

    try:
        app()
    except BridgeError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
