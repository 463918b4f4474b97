"""Plans of replays in Postgres, and the way of their items to the raw topic."""
