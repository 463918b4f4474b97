"""Replay plans: the dead letters that an operator has chosen to replay, frozen as items."""
