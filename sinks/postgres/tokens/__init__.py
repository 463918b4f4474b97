"""API tokens and API keys of scripts."""
