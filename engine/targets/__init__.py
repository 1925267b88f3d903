"""Where fleets run, as the commands see it: one module for each way, behind the protocols of `target`."""
