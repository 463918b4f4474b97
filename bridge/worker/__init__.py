"""The command `bridge worker` with several processes."""
