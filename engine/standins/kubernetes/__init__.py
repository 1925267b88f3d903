"""The kubernetes stand-in: really applies to a cluster's API server, by server-side apply."""
