"""No image carries what it must not, in any layer: what one layer deletes can still be read from the one below."""

import re
from pathlib import Path
from typing import Any

import certifi
import pytest
from docker import DockerClient
from image_builds import NAMES
from image_layers import Entry, of_its_day, read, whole

from architectures.host_certificates import ca_bundle

Image = tuple[dict[str, Any], list[str], list[Entry]]


@pytest.fixture(scope="module")
def base(daemon: DockerClient, built: dict[str, str]) -> list[Entry]:
    """What all of them start from."""
    return read(daemon, built["base"])[2]


@pytest.fixture(scope="module", params=[*NAMES, "mcp-proxy"])
def image(request: pytest.FixtureRequest, daemon: DockerClient, built: dict[str, str], mcp_proxy: str) -> Image:
    """Each image of the project but agents', read layer by layer."""
    return read(daemon, {**built, "mcp-proxy": mcp_proxy}[request.param])


def test_no_layer_adds_a_program_that_changes_its_user(image: Image) -> None:
    """A set-user-ID program is the first thing that an escape tries."""
    assert not [entry for entry in image[2] if entry.layer and entry.is_file and entry.mode & 0o6000]


def test_the_whole_image_has_no_program_that_changes_its_user(image: Image) -> None:
    """The base brings some, and a Dockerfile that forgets to remove them would pass a look at its own layers."""
    assert not [entry.path for entry in whole(image[2]) if entry.is_file and entry.mode & 0o6000]


def test_no_layer_keeps_a_cache_or_a_log(image: Image) -> None:
    """Caches and logs make images large, and different at every build."""
    kept = re.compile(r"^/(var/lib/apt/lists|var/cache/apt|var/log|tmp|var/tmp|root/\.cache)/.")
    found = [entry.path for entry in image[2] if entry.is_file and kept.match(entry.path) and entry.size]
    assert not [path for path in found if not path.endswith("/lock")]


def test_nothing_is_of_the_day_of_the_build(base: list[Entry], image: Image) -> None:
    """Prevents an image whose content is another tomorrow: nobody could tell by a build of their own what is in it."""
    assert of_its_day(base, image[2]) == []


def test_no_layer_holds_the_certificates_of_the_machine_that_built_it(image: Image) -> None:
    """An inspecting proxy's certificate in an image would be trusted wherever that image runs."""
    private = _certificates(ca_bundle("auto") or "") - _certificates(Path(certifi.where()).read_text())
    assert not [entry.path for entry in image[2] if private & _certificates(entry.content.decode("latin-1"))]


def test_no_layer_holds_a_secret_or_the_history_of_the_sources(image: Image) -> None:
    """What is in a layer is published with the image (P2)."""
    names = re.compile(
        r"/(\.git|\.env[^/]*|\.netrc|\.npmrc|\.pypirc|pip\.conf|id_rsa|id_ed25519|[^/]+\.key|\.aws|\.ssh)$"
    )
    keys = re.compile(rb"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----\n[A-Za-z0-9+/=]{40}")
    # npm's own package has a file of that name, without a secret.
    ours = (entry.path for entry in image[2] if "/node_modules/" not in entry.path)
    assert not [path for path in ours if names.search(path)]
    texts = (entry for entry in image[2] if b"\0" not in entry.content)
    assert not [entry.path for entry in texts if keys.search(entry.content)]


def test_the_history_of_an_image_tells_no_secret(image: Image) -> None:
    """Build arguments and environment variables are written down in the image's history."""
    told = " ".join(step.get("created_by", "") for step in image[0]["history"])
    environment = " ".join(image[0]["config"].get("Env") or [])
    assert not re.search(r"(?i)(password|passwd|api_?key|token|BEGIN CERTIFICATE)\s*=?\s*[A-Za-z0-9+/]{8}", told)
    assert not re.search(r"(?i)(password|token|secret|api_?key|_cert|ssl_)", environment)


def test_tests_and_caches_of_the_sources_stay_out(image: Image) -> None:
    """The .dockerignore files keep everything out that the image does not run."""
    own = re.compile(r"/(fleet_runtime|fleet_sandbox)/(.*/)?(tests|\.pytest_cache|\.ruff_cache)(/|$)")
    assert not [entry.path for entry in image[2] if own.search(entry.path)]


def _certificates(text: str) -> set[str]:
    bodies = re.findall(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", text, re.DOTALL)
    return {re.sub(r"\s", "", body) for body in bodies}
