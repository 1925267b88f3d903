"""The air-gapped bundle: one archive with everything that an install needs, and the install from it."""
