"""The fault campaign: a steady load on real servers and workers, a seeded plan of faults, and an independent judge."""
