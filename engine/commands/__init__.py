"""What `make` offers, one module for each command."""
