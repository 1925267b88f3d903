"""The same inputs give the same image: the copy that is built, and the hash that two builds are compared by."""

import io
import json
import os
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient
from docker_objects import import_tiny_image
from family_samples import built_image, sample

from engine.image_family import matrix
from engine.image_family.build import stage
from engine.image_family.file_tree import FileTree, of_layers
from engine.image_family.oci_layout import IMAGE_KIND, Layout, export
from images.base.ensure import ensure_base

DOCKERFILE = "FROM {base}\nCOPY . /context\nCOPY program /bin/program\nRUN echo made > /made\n"


@pytest.fixture(scope="module")
def tiny(daemon: DockerClient) -> Iterator[str]:
    """A base of 3 MB with a shell."""
    tag = f"family-tiny-{uuid.uuid4().hex[:10]}:1"
    import_tiny_image(tag)
    yield tag
    daemon.images.remove(tag, force=True)


def checkout(folder: Path, base: str, mask: int, stamp: int) -> Path:
    """A checkout on some machine: with its umask and its clock."""
    before = os.umask(mask)
    try:
        context = folder / "context"
        (context / "inner").mkdir(parents=True)
        (context / "Dockerfile").write_text(DOCKERFILE.format(base=base))
        (context / "inner" / "data").write_text("data\n")
        (context / "program").write_text("#!/bin/sh\necho runs\n")
        (context / "program").chmod(0o777 & ~mask)
        (context / "link").symlink_to("program")
        (context / "noise.log").write_text(f"{stamp}\n")
        (context / ".dockerignore").write_text("*.log\n")
    finally:
        os.umask(before)
    for path in [*context.rglob("*"), context]:
        os.utime(path, (stamp, stamp), follow_symlinks=False)
    return folder


def exported(daemon: DockerClient, image: str, folder: Path) -> str:
    """Write an image's OCI layout to `folder`, which must be new, and return its content hash."""
    return export(daemon.images.get(image).save(), folder, lambda: None).file_tree


def test_two_machines_build_the_same_file_system(daemon: DockerClient, tiny: str, tmp_path: Path) -> None:
    """Prevents an image whose files nobody but root can read because a checkout was made under another umask, and
    builds that cannot be compared."""
    found: set[str] = set()
    image = sample(f"contents-{uuid.uuid4().hex[:8]}")
    for name, mask, stamp in (("one", 0o022, 1_700_000_000), ("two", 0o077, 1_750_000_000)):
        source = checkout(tmp_path / name, tiny, mask, stamp)
        with built_image(daemon, tmp_path / "out", image, no_cache=True, checkout=source) as made:
            found.add(exported(daemon, made, tmp_path / "out" / name))
    assert len(found) == 1


def lines(folder: Path) -> set[str]:
    """What the content hash of an exported image is of, a line for each path."""
    layout = Layout(folder)
    image = layout.manifest(IMAGE_KIND)
    assert image is not None
    manifest = json.loads(layout.blob(image["digest"]).read_text())
    return set(of_layers(layout.blob(each["digest"]) for each in manifest["layers"]).lines())


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [each.name for each in matrix.load().image if "rust" not in each.tools])
def test_a_real_image_built_twice_has_the_same_content(daemon: DockerClient, tmp_path: Path, name: str) -> None:
    """Prevents a file with a time, a random name or an order by chance in it: whoever builds the image again to see
    whether it is what was published would get another. Those with a Rust tool take 20 minutes to compile."""
    ensure_base(lambda _: None)
    image, found = matrix.load().chosen([name])[0], {}
    for time in ("first", "second"):
        with built_image(daemon, tmp_path / "out", image, no_cache=True) as made:
            found[time] = exported(daemon, made, tmp_path / time)
    if found["first"] != found["second"]:
        differing = lines(tmp_path / "first") ^ lines(tmp_path / "second")
        pytest.fail(f"differs: {', '.join(sorted({line.partition(chr(0))[0] for line in differing}))}")


def test_the_copy_of_a_context_has_only_what_is_sent(tmp_path: Path) -> None:
    """Prevents a local file that is ignored, or a local permission, from ending up in an image."""
    source = checkout(tmp_path / "source", "scratch", 0o077, 1_700_000_000)
    context, file = stage(sample("staged"), tmp_path / "copy", source)
    assert sorted(str(path.relative_to(context)) for path in context.rglob("*")) == sorted(
        [".dockerignore", "Dockerfile", "inner", "inner/data", "link", "program"]
    )
    assert file.read_text().startswith("FROM scratch")
    assert {oct((context / name).stat().st_mode & 0o777) for name in ("inner/data", "Dockerfile")} == {"0o644"}
    assert (context / "program").stat().st_mode & 0o777 == 0o755
    assert {path.lstat().st_mtime for path in [context, *context.rglob("*")]} == {315532800.0}


def layer(folder: Path, name: str, files: dict[str, str], *, stamp: int = 0, mode: int = 0o644) -> Path:
    """An uncompressed layer; a name that ends in `/` is a folder."""
    path = folder / name
    with tarfile.open(path, "w") as archive:
        for file, text in files.items():
            entry = tarfile.TarInfo(file.rstrip("/"))
            entry.mtime, entry.mode = stamp, mode
            if file.endswith("/"):
                entry.type = tarfile.DIRTYPE
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def test_the_hash_is_of_what_is_seen_and_not_of_how_it_came(tmp_path: Path) -> None:
    """Prevents a difference for a time or another split into layers, and none for what a layer hides."""
    once = of_layers([layer(tmp_path, "a", {"etc/": "", "etc/kept": "1", "new": "2"}, stamp=1)])
    twice = of_layers(
        [
            layer(tmp_path, "b", {"etc/": "", "etc/kept": "old", "etc/gone": "x", "gone/": "", "gone/file": "x"}),
            layer(tmp_path, "c", {"etc/.wh.gone": "", ".wh.gone": "", "etc/kept": "1", "new": "2"}, stamp=2),
        ]
    )
    assert once.lines() == twice.lines()
    assert once.hash() == twice.hash()
    emptied = of_layers(
        [
            layer(tmp_path, "d", {"etc/": "", "etc/old": "x"}),
            layer(tmp_path, "e", {"etc/": "", "etc/.wh..wh..opq": "", "etc/kept": "1", "new": "2"}),
        ]
    )
    assert emptied.hash() == once.hash()


@pytest.mark.parametrize("change", ["content", "mode", "name", "more"])
def test_the_hash_changes_with_what_is_in_the_image(tmp_path: Path, change: str) -> None:
    """Prevents two different images that pass for the same."""
    before = of_layers([layer(tmp_path, "a", {"file": "1"})])
    after = FileTree()
    match change:
        case "content":
            after.add(layer(tmp_path, "b", {"file": "2"}))
        case "mode":
            after.add(layer(tmp_path, "b", {"file": "1"}, mode=0o755))
        case "name":
            after.add(layer(tmp_path, "b", {"elsewhere": "1"}))
        case _:
            after.add(layer(tmp_path, "b", {"file": "1", "more": ""}))
    assert after.hash() != before.hash()
