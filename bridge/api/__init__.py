"""The operators' HTTP API: the verbs of `bridge dlq`, for tokens with a role.

A token can be bound to one organisation; then it only reads and changes that organisation's data.
"""
