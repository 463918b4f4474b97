"""The schema: migrations, monthly partitions, grants of each service, and the check of all of them."""
