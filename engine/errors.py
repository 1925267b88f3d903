"""The one kind of error that a user sees: what happened, and what to do about it."""


class UserFacingError(Exception):
    """A command cannot go on. `message` says what was found; `remedy` what the user does next."""

    def __init__(self, message: str, remedy: str = "") -> None:
        """`message` and `remedy` are whole sentences; lines may be broken."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Both parts, the remedy on a line of its own."""
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message
