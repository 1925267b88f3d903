"""Names that Docker takes for images, checked before it is asked: it answers a wrong one with an error of its own.

https://github.com/distribution/reference/blob/v0.6.0/reference.go has the grammar.
"""

import re

from engine.errors import UserFacingError

HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])"
"""Of a registry, without its port."""
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{HOST}(?::[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*)(?::{_TAG})?(?:@sha256:[0-9a-f]{{64}})?"
)
_NAME_LENGTH = 255 - len("docker.io/library/")
"""Docker counts what it puts before a name without a host."""


def read_version(version: str) -> str:
    """VERSION as the tag that it becomes, `dev` if not given; raises UserFacingError where it cannot be one."""
    version = version or "dev"
    if not re.fullmatch(_TAG, version):
        raise UserFacingError(
            f"VERSION is {version!r}; allowed are at most 128 letters, digits, '_', '.' and '-', the first no '.' or "
            "'-', because it becomes the images' tag.",
            "For example VERSION=1.4.0 or VERSION=sha-0123abc; without it the tag is dev.",
        )
    return version


def read_references(images: str) -> list[str]:
    """IMAGE, names of images with commas between them; raises UserFacingError for the first that is none."""
    given = [each.strip() for each in images.split(",") if each.strip()]
    for each in given:
        found = _REFERENCE.fullmatch(each)
        if found is None or len(found["name"]) > _NAME_LENGTH:
            raise UserFacingError(
                f"IMAGE is {images!r}, and {each!r} is no image's name; allowed are [host[:port]/]name[:tag]"
                "[@sha256:digest], the name in lower case, and ids, with commas between several.",
                "For example IMAGE=agent-fleet/runtime:dev; without it all of images/images.toml are scanned.",
            )
    return given
