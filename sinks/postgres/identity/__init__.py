"""The sender's identity of stored events: added to rows that older releases wrote without it."""
