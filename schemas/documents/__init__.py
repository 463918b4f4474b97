"""JSON documents of commands, the API and webhooks."""
