"""The items of replay plans (stored lists of dead letters to replay): one item for each dead letter."""
