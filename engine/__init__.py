"""What makes `make up` and every other command work on a machine that has nothing but Python.

Imports nothing of the settings, architectures and components: it starts the engine, which runs them.
"""
