"""The operators' HTTP API: the verbs of `bridge dlq`, for tokens with a role and, if bound, of one organisation."""
