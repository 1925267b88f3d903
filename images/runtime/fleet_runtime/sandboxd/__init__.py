"""sandboxd: the only process of the fleet that may create containers."""
