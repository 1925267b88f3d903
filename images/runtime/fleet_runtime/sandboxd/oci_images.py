"""The images that sandboxes are made from: each unpacked once, and shared by all its sandboxes, which only read it."""

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path

from fleet_runtime.sandboxd.oci_archive import Archive, ImageError
from fleet_runtime.sandboxd.oci_config import Program
from fleet_runtime.sandboxd.oci_layers import LayerError, Root
from fleet_runtime.sandboxd.posture import HOST_NAME

_NEW = ".new-"
_ID = re.compile(r"(?:[^@]*@)?sha256:([0-9a-f]{64})")
_OWN_FILES = {
    # The image's would be those of the machine that built it. Docker mounts its own over them.
    "etc/hostname": f"{HOST_NAME}\n",
    "etc/hosts": f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t{HOST_NAME}\n",
    "etc/resolv.conf": "nameserver 127.0.0.1\n",
}
_MOUNT_POINTS = {"proc": 0o555, "dev": 0o755, "sys": 0o555, "tmp": 0o1777, "job": 0o700}


class Images:
    """The folder with the unpacked images, by image ID."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made or read yet."""
        self._folder = folder

    def find(self, image: str) -> Program:
        """Return what is run of an image, named by its ID or digest; raises ImageError."""
        named = _ID.fullmatch(image)
        if named is None:
            raise ImageError(
                f"image {image!r} is neither an ID nor a digest: name it as sha256:… (docker image inspect)"
            )
        for folder in (self._folder / named[1], *self._others(named[1])):
            with contextlib.suppress(FileNotFoundError):
                said = json.loads((folder / "image.json").read_text())
                return Program(folder / "rootfs", tuple(said["environment"]))
        raise ImageError(
            f"image {image} is not unpacked in {self._folder}: docker save {image} | python -m fleet_runtime bundle -"
        )

    def unpack(self, archive: Path, *, keep: int) -> str:
        """Unpack an archive and return its image ID; of the images that nobody uses only the last `keep` stay.

        An image that is there already is left as it is. Raises ImageError, and leaves nothing half done.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        # Sandboxes of user IDs of their own have to be able to pass through.
        for folder in (self._folder, self._folder.parent):
            folder.chmod(0o711)
        with _locked(self._folder):
            self._remove_unfinished()
            try:
                with tarfile.open(archive) as opened:
                    return self._unpack(Archive(opened), keep)
            except (tarfile.TarError, LayerError, OSError, ValueError, KeyError, TypeError, LookupError) as error:
                raise ImageError(f"{archive} cannot be unpacked: {error}") from error
            finally:
                self._remove_unfinished()

    def _unpack(self, archive: Archive, keep: int) -> str:
        final = self._folder / archive.image
        if not final.exists():
            new = self._folder / f"{_NEW}{secrets.token_hex(6)}"
            (new / "rootfs").mkdir(parents=True)
            root = Root(str(new / "rootfs"))
            try:
                archive.apply(root)
                for path, mode in _MOUNT_POINTS.items():
                    root.make_folder(path, mode)
                for path, content in _OWN_FILES.items():
                    root.write(path, content)
            finally:
                root.close()
            (new / "rootfs").chmod(0o755)
            (new / "image.json").write_text(json.dumps(archive.said))
            new.chmod(0o711)
            os.sync()
            new.rename(final)
        os.utime(final)
        self._remove_old(keep)
        return f"sha256:{archive.image}"

    @contextlib.contextmanager
    def use(self, program: Program) -> Generator[None]:
        """Hold an image, so that nobody removes it meanwhile."""
        held = os.open(program.rootfs.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_SH)
            yield
        finally:
            os.close(held)

    def _others(self, digest: str) -> Iterator[Path]:
        """Return the images whose manifest has this digest: registries name an image so."""
        if self._folder.is_dir():
            for path in self._folder.glob("[0-9a-f]*/image.json"):
                with contextlib.suppress(OSError, ValueError):
                    if digest in json.loads(path.read_text())["manifests"]:
                        yield path.parent

    def _remove_unfinished(self) -> None:
        for path in self._folder.glob(f"{_NEW}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _remove_old(self, keep: int) -> None:
        images = sorted(self._folder.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in images[keep:]:
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                going = path.with_name(f"{_NEW}{secrets.token_hex(6)}")
                path.rename(going)
                shutil.rmtree(going, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(held)


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Let one archive be unpacked at a time."""
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
