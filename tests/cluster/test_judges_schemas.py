"""Every object against the published schemas of each Kubernetes version that the fleet supports."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from agent_fleet.versions import END_OF_STANDARD_SUPPORT
from declared_manifests import Manifest, title
from judged_objects import all_sources, objects_of
from kubernetes_validate import SchemaNotFoundError, ValidationError, utils

VERSIONS = tuple(END_OF_STANDARD_SUPPORT)
CUSTOM_GROUPS = (".istio.io/", "keda.sh/", "karpenter.sh/", "karpenter.k8s.aws/", "gateway.networking.k8s.io/")


@pytest.fixture(scope="module", autouse=True)
def schemas_read_once() -> Iterator[None]:
    """Each call of the validator reads megabytes anew; a judged fleet makes a thousand of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


@cache
def _standard(source: str) -> tuple[Manifest, ...]:
    return tuple(
        each for each in objects_of(source) if not any(group in f".{each['apiVersion']}" for group in CUSTOM_GROUPS)
    )


def test_the_versions_are_those_that_the_fleet_supports() -> None:
    """A version would be offered that nobody has looked at."""
    assert VERSIONS == ("1.32", "1.33", "1.34", "1.35", "1.36")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", all_sources())
def test_every_object_is_of_the_versions_schema(source: str, version: str) -> None:
    """A field that came later, or has gone, fails on the cluster of one user only."""
    found = _standard(source)
    assert found
    problems: list[str] = []
    for manifest in found:
        try:
            utils.validate(manifest, version, strict=True)
        except ValidationError as error:
            cause: Any = error
            problems.append(f"{title(manifest)}: {getattr(cause, 'message', cause)}")
        except SchemaNotFoundError:
            problems.append(f"{title(manifest)}: {version} has no {manifest['apiVersion']} {manifest['kind']}")
    assert not problems
