"""kube-score and checkov: got once at pinned versions, then run offline, one process each for all objects."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml
from declared_manifests import Manifest
from judge_exceptions import Finding, finding
from judge_tools import checkov

from engine.file_lock import held
from engine.go_build import GoBuild, Product
from engine.go_toolchain import ensure_go
from engine.paths import Paths, cache_directory

KUBE_SCORE = "1.20.0"
KUBERNETES = "v1.34"
_HERE = Path(__file__).parent
_KUBE_SCORE_MODULE = _HERE / "kube_score"
_PASSED = 10
_RUN_SECONDS = 200


def _silent(text: str) -> None:
    del text


def kube_score_findings(manifests: list[Manifest], folder: Path) -> list[Finding]:
    """What kube-score has against the objects."""
    path = folder / "objects.yaml"
    path.write_text(_documents(manifests), encoding="utf-8")
    run = subprocess.run(
        [str(_kube_score()), "score", "--output-format=json", f"--kubernetes-version={KUBERNETES}", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUN_SECONDS,
    )
    # It ends with 1 when it has found something, and with nothing on its output when it could not read the file.
    assert run.stdout.startswith("["), f"kube-score: {run.stderr[-2000:]}"
    by_name = {_key(each): each for each in manifests}
    found: list[Finding] = []
    for judged in json.loads(run.stdout):
        metadata = judged["object_meta"]
        manifest = by_name[(judged["type_meta"]["kind"], metadata.get("namespace"), metadata["name"])]
        for check in judged["checks"]:
            if check["grade"] < _PASSED and not check["skipped"]:
                texts = {f"{each['path']} {each['summary']}".strip() for each in check["comments"] or []}
                found.append(finding("kube-score", check["check"]["id"], manifest, "; ".join(sorted(texts))))
    return found


def checkov_findings(manifests: list[Manifest], folder: Path) -> list[Finding]:
    """What checkov has against the objects. Each is a file of its own, by which its findings are told apart."""
    files = {f"{number:04}.yaml": each for number, each in enumerate(manifests)}
    for name, manifest in files.items():
        (folder / name).write_text(_documents([manifest]), encoding="utf-8")
    report: Any = json.loads(checkov(folder, "kubernetes"))
    assert report["summary"]["parsing_errors"] == 0, report
    assert report["summary"]["passed"] > len(manifests), "checkov has judged less than the objects that it was given"
    return [
        finding("checkov", each["check_id"], files[Path(each["file_path"]).name], str(each["check_name"]))
        for each in report["results"]["failed_checks"]
    ]


def _kube_score() -> Path:
    program = cache_directory() / "judges" / f"kube-score-{KUBE_SCORE}"
    with held(program.with_suffix(".lock")):
        if not program.is_file():
            go = ensure_go(cache_directory(), _uv(), _silent)
            product = Product("kube-score", 1024**3)
            build = GoBuild(go, _KUBE_SCORE_MODULE, product, _silent, Paths().logs / "kube-score.log")
            build.begin()
            part = program.with_suffix(f".{os.getpid()}")
            build.compile(part, ["github.com/zegl/kube-score/cmd/kube-score"], {})
            part.replace(program)
    return program


def _uv() -> Path:
    return Paths().virtual_environment / "bin" / "uv"


def _key(manifest: Manifest) -> tuple[str, str | None, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace"), metadata["name"]


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out: kube-score reads no references."""
        del data
        return True


def _documents(manifests: list[Manifest]) -> str:
    return yaml.dump_all(manifests, Dumper=_Plain)
