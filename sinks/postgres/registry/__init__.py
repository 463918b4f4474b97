"""The registry: organisations, sites and scripts (sources of a site's events), their pauses, and their history."""
