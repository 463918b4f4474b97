"""The `bridge` command line: one file for each group of commands, all of them in the tree of `app`."""

import sys
import traceback

from typer.exceptions import Abort, TyperException

from schemas.errors import BridgeError, InvalidInput
from telemetry.terminal import report_crashes, say, say_error, take_every_character

INTERRUPTED = 130


def main() -> None:
    """Run the command line. A BridgeError becomes one line on standard error and an exit code."""
    take_every_character()
    report_crashes()
    from bridge.cli.app import app
    from bridge.cli.unfit import leave_summary

    try:
        code = app(standalone_mode=False)
    except BridgeError as error:
        say_error(error)
        leave_summary(sys.argv[1:], str(error), error.exit_code)
        sys.exit(error.exit_code)
    except TyperException as error:
        for line in _usage(error).splitlines():
            say(line)
        leave_summary(sys.argv[1:], _usage(error), InvalidInput.exit_code)
        sys.exit(InvalidInput.exit_code)
    except (KeyboardInterrupt, Abort):
        say("interrupted")
        sys.exit(INTERRUPTED)
    except Exception:  # noqa: BLE001  # a defect can raise any exception
        # The text of a defect may contain untrusted input, so each line is escaped.
        for line in traceback.format_exc().splitlines():
            say(line)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: TyperException) -> str:
    """Return the usage error as one line; a call without a command shows the help instead."""
    message = error.format_message().strip()
    context = getattr(error, "ctx", None)
    if "\n" in message or not message:
        return message or "\n"
    hint = f"; try: {context.command_path} --help" if context is not None else ""
    return f"error: {message.removesuffix('.')}{hint}"
