"""Sources that are changed while an image is built from them."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from engine.errors import UserFacingError
from engine.image_family.build import build
from engine.image_family.matrix import Image
from engine.image_family.request import Request
from engine.standins import build_command
from engine.standins.build_command import BuildCommand, Builder


@pytest.mark.parametrize("changed", ["before", "during"])
def test_an_image_is_recorded_with_the_sources_that_it_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """Prevents signed provenance that names a commit or an edit which the image does not have in it."""
    monkeypatch.setattr(build_command, "find_builder", lambda: Builder("docker", buildx=True))
    source = tmp_path / "context" / "file"
    source.parent.mkdir()
    source.write_text("as it was")
    (source.parent / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    image = Image.model_validate(
        {"name": "changing", "context": "context", "platforms": ["linux/amd64"], "megabytes": 1}
        | {"compressed_megabytes": 1, "uid": 1001, "probe": ["sh"], "shell": True, "no_health": "it only lies there"}
    )

    def run(command: BuildCommand, *_: object) -> list[str]:
        words = list(command.words)
        Path(words[words.index("--iidfile") + 1]).write_text("sha256:made")
        if changed == "during":
            source.write_text("as it is now")
        return []

    def made() -> str:
        request = Request([image], "", "test", push=False, no_cache=False, key=None)
        return build(image, request, Mock(run=run), Mock(), tmp_path).context_hash

    if changed == "before":
        first = made()
        source.write_text("as it is now")
        assert made() != first
    else:
        with pytest.raises(UserFacingError, match="changed while it was built"):
            made()
