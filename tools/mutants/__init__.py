"""Mutants: the product with one mechanism taken out. The tests that claim to guard it have to fail."""
