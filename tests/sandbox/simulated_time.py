"""An event loop whose clock jumps to the next thing that is due: ten minutes of a pool pass in a second."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Leaping(selectors.DefaultSelector):
    """Waits for nothing: whatever it was to wait has passed."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "nothing is due any more, so this would wait for ever"
            self.passed += timeout
        return found


class SimulatedLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, on a clock that nothing but waiting moves."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Seconds since the beginning, as far as anything waited for them."""
        return self._leaping.passed


def run_simulated(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on such a loop."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)
