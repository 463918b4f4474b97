"""Programs that test the product: seeded faults, mutants, alert runs. Each has a make target and a short test."""
