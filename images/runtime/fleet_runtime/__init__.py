"""The execution service: API, worker and sandboxd."""
