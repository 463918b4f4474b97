"""The peers of `make bench`: programs as their users write them, each of which fills `peer_event` from the raw topic."""
