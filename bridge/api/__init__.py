"""The operators' HTTP API: the verbs of `bridge dlq`, for tokens with a role that may be bound to one organisation."""
