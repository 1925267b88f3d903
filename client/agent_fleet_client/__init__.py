"""Runs jobs on an agent-fleet."""
