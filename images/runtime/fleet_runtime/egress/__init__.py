"""egress: the only way out of a sandbox, for pools that allow some domains."""
