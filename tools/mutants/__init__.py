"""Mutants: the product with one mechanism removed. The tests that guard the mechanism have to fail."""
