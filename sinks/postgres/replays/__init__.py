"""Replay plans: stored lists of the dead letters (the plan's items) that an operator has chosen to replay."""
