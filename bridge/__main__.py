"""Runs the `bridge` command as `python -m bridge`."""

from bridge.cli import main

# The gateway's processes import this module again.
if __name__ == "__main__":
    main()
