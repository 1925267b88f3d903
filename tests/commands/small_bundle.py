"""A bundle of three small entries."""

from pathlib import Path

from engine.bundle.writing import Staging, digest_of
from engine.paths import CHECKOUT


def small_staging(folder: Path) -> Staging:
    """Its entries; `folder` holds what they are made of."""
    staging = Staging(folder)
    staging.described |= {"commit": "c0ffee", "lock": digest_of([CHECKOUT / "uv.lock"])}
    staging.add_text("README.md", "text", "read me\n")
    staging.add_text("images/runtime.tar.gz", "image", "layers" * 5000)
    staging.add_text("wheels/one.whl", "wheel", "a wheel")
    return staging
