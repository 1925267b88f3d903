"""The engine's gRPC messages, loaded from the installed Pulumi SDK without running the SDK.

`import pulumi` costs 0.25 s of processor time, and an operation starts one process for each provider. The generated
message modules need nothing of it, so the three packages above them are entered as empty ones. Do not import this
module in a process that also uses the Pulumi SDK as an author of programs would.
"""

import importlib.util
import sys
import types
from pathlib import Path


def _enter_empty_packages() -> None:
    if "pulumi" in sys.modules:
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The Pulumi SDK is not installed in this environment: run `uv sync`.")
    root = Path(next(iter(spec.submodule_search_locations)))
    for name, folder in (
        ("pulumi", root),
        ("pulumi.runtime", root / "runtime"),
        ("pulumi.runtime.proto", root / "runtime" / "proto"),
    ):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


_enter_empty_packages()

from pulumi.runtime.proto import (  # noqa: E402
    engine_pb2,
    engine_pb2_grpc,
    errors_pb2,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

__all__ = [
    "engine_pb2",
    "engine_pb2_grpc",
    "errors_pb2",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "status_pb2",
]
