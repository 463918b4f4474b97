"""The gateway's routes: one file a route."""
