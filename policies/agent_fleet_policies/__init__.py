"""The rules that a stack of agent-fleet, or another one, is held against in every preview and update."""
