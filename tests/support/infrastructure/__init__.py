"""Servers on which tests run, and servers in front of them."""
