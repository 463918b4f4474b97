"""Commands for an installation: schema, grants, keys, identity, deployment."""
