"""How sandboxd says no to a job."""


class RefusedError(Exception):
    """A job is not started, and nothing of it ran; `code` is one of the protocol's."""

    def __init__(self, code: str, message: str) -> None:
        """Keep both parts."""
        super().__init__(message)
        self.code = code
        self.message = message
