"""JSON documents that commands, the API and webhooks give out."""
