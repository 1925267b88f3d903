"""What belongs to nobody is removed, and nothing else, however long the backend takes to list what there is."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from fleet_runtime.sandboxd.config import SandboxdSettings, SandboxTemplate
from fleet_runtime.sandboxd.egress_backend import EgressBackend
from fleet_runtime.sandboxd.egress_folders import EgressFolders
from fleet_runtime.sandboxd.egress_link import EgressLink
from fleet_runtime.sandboxd.server import Sandboxd
from pretend_backend import PretendBackend
from sandbox_daemon import MEBIBYTE, eventually


class _SlowToList(PretendBackend):
    """Lists what is there when it is told to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.answer = asyncio.Event()
        self.answer.set()

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """One template cannot be used, so sandboxd looks again soon."""
        del templates
        return {"unusable": "as it is in this test"}

    async def left_over(self, known: Collection[str]) -> list[str]:
        self.asked += 1
        await self.answer.wait()
        return await super().left_over(known)


def _template(**changes: object) -> SandboxTemplate:
    return SandboxTemplate.model_validate(
        {"image": "x", "memory_bytes": 64 * MEBIBYTE, "scratch_bytes": MEBIBYTE, "warm": 1, "maximum": 2, **changes}
    )


async def test_a_sandbox_made_while_the_left_over_ones_are_listed_is_not_removed(tmp_path: Path) -> None:
    """It was known to nobody when the question was asked: its job ended as if its sandbox had crashed."""
    backend = _SlowToList()
    settings = SandboxdSettings(
        name="fleet",
        sandboxd_socket=tmp_path / "sandboxd.sock",
        sandbox_templates={"default": _template(), "unusable": _template()},
    )
    sandboxd = Sandboxd(settings, backend)
    running = asyncio.create_task(sandboxd.run())

    async def one_is_warm() -> bool:
        return len(backend.existing) == 1

    await eventually(one_is_warm, 10, "a sandbox to be warm")
    (first,) = backend.existing
    backend.answer.clear()
    before = backend.asked

    async def asked() -> bool:
        return backend.asked > before

    await eventually(asked, 10, "sandboxd to ask what is left over")
    backend.existing[first].abort()

    async def replaced() -> bool:
        return len(backend.existing) == 1 and first not in backend.existing

    await eventually(replaced, 10, "another to take its place")
    (second,) = backend.existing
    backend.existing["fleet-sandbox-of-nobody"] = backend.existing[second]
    backend.answer.set()

    async def swept() -> bool:
        return "fleet-sandbox-of-nobody" not in backend.existing

    await eventually(swept, 10, "what belongs to nobody to be removed")
    assert set(backend.existing) == {second}
    sandboxd.stop()
    await running


async def test_the_socket_of_a_sandbox_made_meanwhile_stays(tmp_path: Path) -> None:
    """Its job found no way out."""
    inner = _SlowToList()
    inner.answer.clear()
    link = EgressLink(tmp_path / "egress.sock", 0, None)
    folders = tmp_path / "egress"
    backend = EgressBackend(inner, EgressFolders(folders), link)
    (folders / "of-nobody").mkdir(parents=True)
    listing = asyncio.create_task(backend.left_over(set()))
    await asyncio.sleep(0)
    await backend.start("made", "default", _template(egress=True))
    inner.answer.set()
    await listing
    assert [entry.name for entry in folders.iterdir()] == ["made"]
    await backend.remove("made")
    assert list(folders.iterdir()) == []
