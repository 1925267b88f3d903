"""Builds the Pulumi engine from its Go module, which go/go.mod and go/go.sum pin."""

import shutil
from pathlib import Path

from engine.go_build import GoBuild, Product
from engine.paths import CHECKOUT
from engine.report import Report
from engine.versions import ENGINE

MODULE = CHECKOUT / "engine" / "go"
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK = "github.com/pulumi/pulumi/sdk/v3"
_PRODUCT = Product(
    "The engine",
    4 * 1024**3,  # modules 1.2 GB, compiled packages 1.6 GB, while linking 0.3 GB
    "An official pulumi on PATH is used instead if there is one.",
)


class EngineBuild:
    """One build with `go`; `private_caches` is set when Go came with us and the user has no Go caches to share."""

    def __init__(self, go: Path, report: Report, log: Path, private_caches: Path | None = None) -> None:
        """Everything that Go says goes to `log`."""
        self._report = report
        self._build = GoBuild(go, MODULE, _PRODUCT, report, log, private_caches)

    def into(self, folder: Path) -> None:
        """Write the engine and the Python SDK's scripts into `folder`."""
        build = self._build
        build.begin()
        self._report("Downloading the engine's Go modules (about 150 MB; what is there already is not loaded again).")
        build.run("mod", "download")
        sizes = build.sizes([PACKAGE])
        minutes = "a few seconds" if len(sizes) < 20 else "3 to 8 minutes on two cores"
        self._report(f"Building the Pulumi engine v{ENGINE}: {len(sizes)} packages to compile, {minutes}.")
        versions = (f"{SDK}/go/common/version.Version", "github.com/pulumi/pulumi/pkg/v3/version.Version")
        build.compile(folder / "pulumi", [PACKAGE], sizes, [f"{name}=v{ENGINE}" for name in versions])
        sdk = Path(build.run("list", "-m", "-f", "{{.Dir}}", SDK).strip())
        for script in (
            "cmd/pulumi-language-python-exec",
            "dist/pulumi-analyzer-policy-python",
            "dist/pulumi-resource-pulumi-python",
        ):
            target = folder / Path(script).name
            shutil.copyfile(sdk / "python" / script, target)
            target.chmod(0o755)
