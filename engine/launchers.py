"""Fills `.fleet/engine/bin`: the engine, its language host, and a launcher for every stand-in."""

import os
import shlex
import shutil
from pathlib import Path

from engine.paths import Paths
from engine.versions import PROVIDERS

SDK_SCRIPTS = ("pulumi-language-python-exec", "pulumi-analyzer-policy-python", "pulumi-resource-pulumi-python")

_LANGUAGE_HOST = """#!/bin/sh
exec {python} -P -c 'import sys; sys.path.insert(0, sys.argv.pop(1))
from engine.language_host import main; main()' {root} "$@"
"""
_STANDIN = """#!/bin/sh
PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}} exec {python} -P -m engine.standins.{module} "$@"
"""


def standin_module(provider: str) -> str:
    """The module that stands in for a provider: `docker-build` is `docker_build`."""
    return provider.replace("-", "_")


def has_standin(provider: str) -> bool:
    """Whether this checkout has a stand-in for the provider."""
    folder = Path(__file__).parent / "standins"
    return any((folder / f"{standin_module(provider)}{end}").exists() for end in (".py", "/__main__.py"))


def write(paths: Paths, engine: Path, *, official: bool) -> None:
    """Put everything in place. `engine` is the engine's program; an official one brings its own Python parts.

    What is right already is left alone, so a run beside another one changes nothing under it.
    """
    programs = paths.engine_programs
    programs.mkdir(parents=True, exist_ok=True)
    python = paths.virtual_environment / "bin" / "python"
    root = str(paths.root)
    if official:
        _link(programs / "pulumi", engine)
        for name in ("pulumi-language-python", *SDK_SCRIPTS):
            beside = engine.parent / name
            if beside.exists():
                _link(programs / name, beside)
    else:
        # The engine looks for its own parts beside its program, symbolic links resolved: so a copy, not a link.
        _copy(programs / "pulumi", engine)
        for name in SDK_SCRIPTS:
            _copy(programs / name, engine.parent / name)
        content = _LANGUAGE_HOST.format(python=shlex.quote(str(python)), root=shlex.quote(root))
        script(programs / "pulumi-language-python", content)
    for provider in PROVIDERS:
        target = programs / f"pulumi-resource-{provider}"
        if has_standin(provider):
            content = _STANDIN.format(
                python=shlex.quote(str(python)), root=shlex.quote(root), module=standin_module(provider)
            )
            script(target, content)
        else:
            target.unlink(missing_ok=True)


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part-{os.getpid()}")


def script(target: Path, content: str) -> None:
    """Write an executable script, whole or not at all; leave alone what is right."""
    if target.is_file() and not target.is_symlink() and target.read_text() == content and os.access(target, os.X_OK):
        return
    part = _part(target)
    part.write_text(content)
    part.chmod(0o755)
    part.replace(target)


def _link(target: Path, source: Path) -> None:
    if target.is_symlink() and target.readlink() == source:
        return
    part = _part(target)
    part.unlink(missing_ok=True)
    part.symlink_to(source)
    part.replace(target)


def _copy(target: Path, source: Path) -> None:
    """A hard link where the file system allows it: the engine is 80 MB."""
    there, wanted = (target.stat() if target.exists() and not target.is_symlink() else None), source.stat()
    if there and (there.st_size, there.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns):
        return
    part = _part(target)
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copy2(source, part)
    part.replace(target)
