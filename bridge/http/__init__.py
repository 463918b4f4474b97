"""What the HTTP services share: how they listen, refuse, bound, name and show themselves."""
