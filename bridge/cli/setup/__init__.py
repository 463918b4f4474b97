"""Commands for installation: schema, grants, keys, identity, deployment."""
