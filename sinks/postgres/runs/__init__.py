"""The history of operators' runs, and their locks."""
