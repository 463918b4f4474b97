"""The product's two seams in memory, for tests without servers."""
