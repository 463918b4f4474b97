"""`bridge script`: scripts, their API keys, and their history. A script is a registered source of a site's events."""
