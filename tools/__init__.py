"""Programs that hold the product: seeded faults, mutants, alert runs. Each has a make target, and a thin test."""
