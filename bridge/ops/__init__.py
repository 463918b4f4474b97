"""What operators run: figures, replays, checks and the reference of contracts."""
