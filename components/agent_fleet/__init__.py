"""Pulumi components for a fleet of containerised AI agents."""
