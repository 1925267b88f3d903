"""Unpacking an image: layers on top of one another, nothing outside the folder, and never half an image."""

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fleet_runtime.sandboxd.oci_archive import ImageError
from fleet_runtime.sandboxd.oci_images import Images

Entry = tuple[str, Mapping[str, Any], bytes]


def file(name: str, content: bytes = b"x", **fields: Any) -> Entry:
    """An ordinary file."""
    return name, {"type": tarfile.REGTYPE, "mode": 0o644, **fields}, content


def folder(name: str, **fields: Any) -> Entry:
    """A folder."""
    return name, {"type": tarfile.DIRTYPE, "mode": 0o755, **fields}, b""


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return name, {"type": tarfile.SYMTYPE, "linkname": target}, b""


def hard_link(name: str, target: str) -> Entry:
    """A second name of a file."""
    return name, {"type": tarfile.LNKTYPE, "linkname": target}, b""


def packed(entries: Sequence[Entry]) -> bytes:
    """A tar file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, fields, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def digest(content: bytes) -> str:
    """SHA-256 as images name it, without the kind."""
    return hashlib.sha256(content).hexdigest()


def saved(path: Path, *layers: Sequence[Entry], program: Sequence[str] = ("/bin/true",), spoilt: bool = False) -> Path:
    """What `docker save` writes of an image with these layers."""
    contents = [packed(layer) for layer in layers]
    config = json.dumps(
        {
            "config": {"Entrypoint": list(program), "Env": ["A=b"]},
            "rootfs": {"diff_ids": [f"sha256:{digest(content)}" for content in contents]},
        }
    ).encode()
    names = [f"{number}/layer.tar" for number in range(len(contents))]
    manifest = json.dumps([{"Config": f"{digest(config)}.json", "Layers": names}]).encode()
    if spoilt:
        contents[-1] = packed([*layers[-1], file("more")])
    members = [(f"{digest(config)}.json", config), ("manifest.json", manifest), *zip(names, contents, strict=True)]
    path.write_bytes(packed([file(name, content) for name, content in members]))
    return path


def layout(path: Path, layer: Sequence[Entry]) -> tuple[Path, str]:
    """An OCI layout with one compressed layer and an index in between; also the digest of that index."""
    plain = packed(layer)
    small = gzip.compress(plain)
    config = json.dumps(
        {"config": {"Cmd": ["/bin/true"]}, "rootfs": {"diff_ids": [f"sha256:{digest(plain)}"]}}
    ).encode()
    manifest = json.dumps(
        {"config": {"digest": f"sha256:{digest(config)}"}, "layers": [{"digest": f"sha256:{digest(small)}"}]}
    ).encode()
    described = {"digest": f"sha256:{digest(manifest)}", "platform": {"os": "linux"}}
    said_of = {"digest": f"sha256:{digest(b'')}", "platform": {"os": "unknown"}}
    index = json.dumps({"manifests": [described, said_of]}).encode()
    top = json.dumps({"manifests": [{"digest": f"sha256:{digest(index)}"}]}).encode()
    blobs = [file(f"blobs/sha256/{digest(blob)}", blob) for blob in (small, config, manifest, index)]
    path.write_bytes(packed([file("index.json", top), *blobs]))
    return path, digest(index)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """An empty store."""
    return Images(tmp_path / "state" / "images")


def rootfs(images: Images, archive: Path) -> Path:
    """Unpack, and return where."""
    return images.find(images.unpack(archive, keep=9)).rootfs


def test_layers_cover_and_take_away_what_lies_below(images: Images, tmp_path: Path) -> None:
    """A file that a later layer removed may be the secret that it was removed for."""
    root = rootfs(
        images,
        saved(
            tmp_path / "a.tar",
            [folder("d"), file("d/gone"), file("d/kept"), folder("o"), file("o/lower"), file("f", b"old")],
            [
                file("d/.wh.gone", b""),
                file("o/upper"),
                file("o/.wh..wh..opq", b""),
                file("f", b"new"),
                file("d2/deep/x"),
            ],
        ),
    )
    assert sorted(path.name for path in (root / "d").iterdir()) == ["kept"]
    assert sorted(path.name for path in (root / "o").iterdir()) == ["upper"]
    assert (root / "f").read_bytes() == b"new"
    assert (root / "d2/deep/x").exists()


def test_a_link_of_a_lower_layer_is_followed_inside_the_tree(images: Images, tmp_path: Path) -> None:
    """Debian's /bin is a link to usr/bin, and layers write through it."""
    root = rootfs(
        images,
        saved(tmp_path / "a.tar", [folder("usr/bin"), link("bin", "/usr/bin")], [file("bin/tool", b"t")]),
    )
    assert (root / "bin").is_symlink()
    assert (root / "usr/bin/tool").read_bytes() == b"t"


@pytest.mark.parametrize(
    "entries",
    [
        [file("../outside")],
        [file("/outside")],
        [file("a/../../outside")],
        [link("out", "../../../../../.."), file("out/outside")],
        [link("out", "/"), file("out/outside")],
        [link("outside", "../../outside"), file("outside")],
        [hard_link("h", "../../../../etc/passwd")],
        [link("out", "/etc"), hard_link("h", "out/passwd")],
        [link("a", "b"), link("b", "a"), file("a/x")],
        [file(".wh...")],
        [file(".wh..")],
    ],
    ids=lambda entries: " ".join(entry[0] for entry in entries),
)
def test_no_entry_leads_out_of_the_tree(images: Images, tmp_path: Path, entries: list[Entry]) -> None:
    """Whoever makes an image would else write anywhere as root."""
    before = {path for path in tmp_path.rglob("*") if "state" not in path.parts}
    archive = saved(tmp_path / "a.tar", entries)
    try:
        root = rootfs(images, archive)
        assert not (root / "h").exists()
    except ImageError:
        assert list((tmp_path / "state/images").glob("[!.]*")) == []
    assert {path for path in tmp_path.rglob("*") if "state" not in path.parts} - before == {archive}
    assert not Path("/outside").exists()
    assert list((tmp_path / "state/images").glob(".new-*")) == []


def test_nothing_in_the_tree_gives_a_right_on_the_host(images: Images, tmp_path: Path) -> None:
    """Other users of the host can pass through to it: a set-user-ID program or a device there would be theirs."""
    root = rootfs(
        images,
        saved(
            tmp_path / "a.tar",
            [
                file("su", mode=0o6755),
                file("open", mode=0o666, uid=10001),
                file("own", mode=0o600, uid=10001),
                file("closed", mode=0o600),
                ("disk", {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0, "mode": 0o666}, b""),
            ],
        ),
    )
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir() if path.is_file()}
    assert (modes["su"], modes["open"], modes["own"], modes["closed"]) == (0o755, 0o644, 0o604, 0o600)
    assert not (root / "disk").exists()
    assert {path.lstat().st_uid for path in root.rglob("*")} == {os.geteuid()}


def test_names_of_the_machine_that_built_it_are_not_kept(images: Images, tmp_path: Path) -> None:
    """A sandbox would else know its builder's name servers."""
    root = rootfs(images, saved(tmp_path / "a.tar", [file("etc/resolv.conf", b"nameserver 10.1.2.3\n")]))
    assert (root / "etc/resolv.conf").read_text() == "nameserver 127.0.0.1\n"
    assert (root / "etc/hostname").read_text() == "sandbox\n"
    assert all((root / name).is_dir() for name in ("proc", "dev", "sys", "tmp", "job"))


def test_a_layer_with_another_digest_is_refused_and_leaves_nothing(images: Images, tmp_path: Path) -> None:
    """An archive that was changed on its way must not become what jobs run in."""
    archive = saved(tmp_path / "a.tar", [file("a")], spoilt=True)
    with pytest.raises(ImageError, match="does not have the digest"):
        images.unpack(archive, keep=9)
    assert [path.name for path in (tmp_path / "state/images").iterdir()] == [".lock"]


def test_unpacking_again_changes_nothing(images: Images, tmp_path: Path) -> None:
    """It runs at every deployment, under sandboxes that use the image."""
    archive = saved(tmp_path / "a.tar", [file("a")])
    first = rootfs(images, archive)
    inode = first.stat().st_ino
    assert rootfs(images, archive).stat().st_ino == inode


def test_old_images_go_unless_something_uses_them(images: Images, tmp_path: Path) -> None:
    """Each is some hundred megabytes, and one in use is the ground that a job stands on."""
    used, unused, last = (
        images.unpack(saved(tmp_path / f"{n}.tar", [file(f"f{n}")]), keep=9) for n in ("used", "unused", "last")
    )
    with images.use(images.find(used)):
        assert images.unpack(saved(tmp_path / "last.tar", [file("flast")]), keep=1) == last
        assert images.find(used).rootfs.is_dir()
        with pytest.raises(ImageError, match="is not unpacked"):
            images.find(unused)
    images.unpack(tmp_path / "last.tar", keep=1)
    with pytest.raises(ImageError, match="is not unpacked"):
        images.find(used)


def test_an_oci_layout_is_known_by_the_digest_that_registries_name_it_by(images: Images, tmp_path: Path) -> None:
    """A setting may name the index or the manifest, and the archive holds all three."""
    archive, index = layout(tmp_path / "layout.tar", [file("a", b"in a layout")])
    image = images.unpack(archive, keep=9)
    assert images.find(f"registry.example/sandbox@sha256:{index}") == images.find(image)
    assert (images.find(image).rootfs / "a").read_bytes() == b"in a layout"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a tar file", "cannot be unpacked"),
        (packed([file("else")]), "neither a manifest.json"),
        (packed([file("manifest.json", b"[]")]), "holds 0 images"),
        (packed([file("manifest.json", b"{")]), "cannot be unpacked"),
    ],
)
def test_what_is_no_image_is_refused_in_words(images: Images, tmp_path: Path, content: bytes, said: str) -> None:
    """The message is all that an operator sees."""
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ImageError, match=said):
        images.unpack(tmp_path / "a.tar", keep=9)


def test_an_image_needs_no_program_of_its_own(images: Images, tmp_path: Path) -> None:
    """What a sandbox starts is the runner, whatever the image says of itself."""
    assert images.unpack(saved(tmp_path / "a.tar", [file("a")], program=()), keep=9)


@pytest.mark.parametrize("image", ["agent-fleet/sandbox:dev", "sha256:abc", "../../etc"])
def test_an_image_is_named_by_its_content(images: Images, image: str) -> None:
    """A tag may be another image tomorrow."""
    with pytest.raises(ImageError, match="neither an ID nor a digest"):
        images.find(image)
