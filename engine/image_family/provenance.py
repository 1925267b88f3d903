"""The record of where an image comes from: an in-toto statement with SLSA's provenance predicate.

https://slsa.dev/spec/v1.0/provenance. Secrets of the build (a company's certificates) are not part of it, not even by
their hash: they reach no layer.
"""

import hashlib
import platform
from pathlib import Path
from typing import Any

from engine.image_family.build import Built, Source
from engine.image_family.matrix import Image
from engine.image_family.oci_layout import Exported
from engine.paths import CHECKOUT

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
SPDX = "https://spdx.dev/Document"
BUILD_TYPE = "urn:agent-fleet:make-images:1"
"""What the parameters below mean: docs/images.md."""


def subject(repository: str, exported: Exported) -> list[dict[str, Any]]:
    """The image that a statement is about."""
    return [{"name": repository, "digest": {"sha256": exported.digest.removeprefix("sha256:")}}]


def provenance(
    image: Image,
    version: str,
    repository: str,
    built: Built,
    exported: Exported,
    source: Source,
    base: tuple[str, str],
    docker_version: str,
    root: Path = CHECKOUT,
) -> dict[str, Any]:
    """The statement. `base` are the base image's tag and ID."""
    tag, base_id = base
    materials: list[dict[str, Any]] = [
        {"name": "base", "uri": f"docker-image:{tag}", "digest": {"sha256": base_id.removeprefix("sha256:")}},
        {"name": "context", "uri": f"file:{image.context}", "digest": {"sha256": built.context_hash}},
        {
            "name": "Dockerfile",
            "uri": f"file:{image.file}",
            "digest": {"sha256": hashlib.sha256((root / image.file).read_bytes()).hexdigest()},
        },
    ]
    if source.commit:
        materials.append(
            {
                "name": "source",
                "uri": "git:HEAD",
                "digest": {"gitCommit": source.commit},
                "annotations": {"changed": source.changed},
            }
        )
    return {
        "_type": STATEMENT,
        "subject": subject(repository, exported),
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "image": image.name,
                    "version": version,
                    "context": image.context,
                    "dockerfile": image.file,
                    "target": image.target,
                    "buildArgs": dict(image.build_args),
                },
                "internalParameters": {"architecture": platform.machine(), "network": "host"},
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": {"id": "urn:agent-fleet:docker-buildkit", "version": {"docker": docker_version}},
                "metadata": {
                    "invocationId": f"{exported.digest}-{built.started.strftime('%Y%m%dT%H%M%SZ')}",
                    "startedOn": built.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "finishedOn": built.ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
                "byproducts": [
                    {"name": "file-tree", "digest": {"sha256": exported.file_tree}},
                    {"name": "image-id", "digest": {"sha256": exported.config.removeprefix("sha256:")}},
                ],
            },
        },
    }
