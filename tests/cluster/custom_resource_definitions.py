"""The definitions of Istio, KEDA, Karpenter and the Gateway API, from their own Go modules and pinned by hash.

Go's proxy is asked once for each version; what was read is kept in the user's cache.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from agent_fleet.versions import GATEWAY_API_VERSION, ISTIO_VERSION, KARPENTER_VERSION, KEDA_VERSION

from engine.go_toolchain import ensure_go
from engine.paths import Paths, cache_directory

_DOWNLOAD_SECONDS = 240


@dataclass(frozen=True)
class Source:
    """A Go module, its hash as go.sum would have it, and the files in it that hold definitions."""

    module: str
    version: str
    hash: str
    pattern: str

    @property
    def kept(self) -> Path:
        """Where its definitions are kept."""
        name = self.module.replace("/", "_")
        return cache_directory() / "crds" / f"{name}@{self.version}-{self.hash[3:11].replace('/', '_')}.json"


SOURCES = (
    Source(
        "istio.io/api",
        f"v{ISTIO_VERSION}",
        "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk=",
        "kubernetes/customresourcedefinitions.gen.yaml",
    ),
    Source(
        "github.com/kedacore/keda/v2",
        f"v{KEDA_VERSION}",
        "h1:SR60v8uIcelbveS8n/1jcl8tLdBBIbHMxmdOHw8tKqA=",
        "config/crd/bases/keda.sh_*.yaml",
    ),
    Source(
        # It carries the definitions of Karpenter's core as well.
        "github.com/aws/karpenter-provider-aws",
        f"v{KARPENTER_VERSION}",
        "h1:WGtIQTQcxpElYMdWfWuPwaF2+9muR+hYhPZsTtoY8Gs=",
        "pkg/apis/crds/karpenter*.yaml",
    ),
    Source(
        "sigs.k8s.io/gateway-api",
        f"v{GATEWAY_API_VERSION}",
        "h1:duoo14Ky/fJXpjpmyMISE2RTBGnfCg8zICfTYLTnBJA=",
        "config/crd/standard/gateway.networking.k8s.io_[bghlrt]*.yaml",
    ),
)


def definitions() -> list[dict[str, Any]]:
    """Every CustomResourceDefinition that a component's objects need. Raises RuntimeError if one cannot be had."""
    return [definition for source in SOURCES for definition in _of(source)]


def module_folder(source: Source) -> Path:
    """The module's files, downloaded if they are not here. Raises RuntimeError if they are not those of the hash."""
    go = ensure_go(cache_directory(), Paths().virtual_environment / "bin" / "uv", lambda _: None)
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    run = subprocess.run(
        [str(go), "mod", "download", "-json", f"{source.module}@{source.version}"],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_DOWNLOAD_SECONDS,
    )
    answer: dict[str, str] = json.loads(run.stdout or "{}")
    if run.returncode or "Dir" not in answer:
        raise RuntimeError(f"{source.module}@{source.version}: {answer.get('Error') or run.stderr[-500:]}")
    if answer["Sum"] != source.hash:
        raise RuntimeError(f"{source.module}@{source.version} has the hash {answer['Sum']}; {source.hash} is pinned.")
    return Path(answer["Dir"])


def _of(source: Source) -> list[dict[str, Any]]:
    if not source.kept.is_file():
        found = [
            document
            for path in sorted(module_folder(source).glob(source.pattern))
            for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
            if document and document["kind"] == "CustomResourceDefinition"
        ]
        if not found:
            raise RuntimeError(f"{source.module}@{source.version} has no definitions in {source.pattern}.")
        source.kept.parent.mkdir(parents=True, exist_ok=True)
        part = source.kept.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(found))
        part.replace(source.kept)
    return json.loads(source.kept.read_text())
