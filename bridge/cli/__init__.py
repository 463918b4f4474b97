"""The `bridge` command line: one file per group of commands, all mounted in `app`."""

import sys

from typer.exceptions import Abort, TyperException

from schemas.errors import BridgeError, InvalidInput

INTERRUPTED = 130


def main() -> None:
    """Runs the command line; every error of ours is one line on standard error and an exit code."""
    from bridge.cli.app import app

    try:
        code = app(standalone_mode=False)
    except BridgeError as error:
        sys.stderr.writelines(f"error: {line}\n" for line in str(error).splitlines() or [type(error).__name__])
        sys.exit(error.exit_code)
    except TyperException as error:
        sys.stderr.write(_usage(error))
        sys.exit(InvalidInput.exit_code)
    except (KeyboardInterrupt, Abort):
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: TyperException) -> str:
    """What is wrong with the call, in one line; a call without a command is answered with the help instead."""
    message = error.format_message().strip()
    context = getattr(error, "ctx", None)
    if "\n" in message or not message:
        return f"{message}\n"
    hint = f"; try: {context.command_path} --help" if context is not None else ""
    return f"error: {message.removesuffix('.')}{hint}\n"
