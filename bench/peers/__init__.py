"""The peers of `make bench`: programs in their users' style, each of which fills `peer_event` from the raw topic."""
