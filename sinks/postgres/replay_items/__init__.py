"""The items of replay plans: one for each dead letter that a plan replays."""
