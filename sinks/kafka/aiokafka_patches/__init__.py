"""Patches for aiokafka, in one place."""
