"""Vulnerabilities by OSV's rule, exceptions that end, and the command's words and exit code."""

import io
import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserFacingError
from engine.scanning import configuration as configuration_module
from engine.scanning.configuration import configuration
from engine.scanning.exceptions import judged, read_exceptions
from engine.scanning.findings import Finding
from engine.scanning.packages import Package
from engine.scanning.vulnerabilities import Database, vulnerabilities

TODAY = date(2026, 11, 21)
FINDING = Finding("CVE-2026-0001", "runtime", "openssl@3.0.1", "bad")


def _record(identifier: str, ecosystem: str, name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    kind = "SEMVER" if ecosystem == "npm" else "ECOSYSTEM"
    affected = {"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": kind, "events": list(events)}]}
    return {"id": identifier, "summary": "a fault", "affected": [affected], **more}


def _database(folder: Path, *records: dict[str, Any]) -> Database:
    by_ecosystem: dict[str, list[dict[str, Any]]] = {}
    for each in records:
        by_ecosystem.setdefault(each["affected"][0]["package"]["ecosystem"], []).append(each)
    for ecosystem, its in by_ecosystem.items():
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for each in its:
                archive.writestr(f"{each['id']}.json", json.dumps(each))
        (folder / ecosystem).mkdir()
        (folder / ecosystem / "all.zip").write_bytes(content.getvalue())
    return Database(folder)


@pytest.mark.parametrize(
    ("ecosystem", "events", "version", "concerned"),
    [
        ("Debian:12", [{"introduced": "0"}, {"fixed": "3.0.16-1~deb12u2"}], "3.0.16-1~deb12u1", True),
        ("Debian:12", [{"introduced": "0"}, {"fixed": "3.0.16-1~deb12u2"}], "3.0.16-1~deb12u2", False),
        ("Debian:12", [{"introduced": "0"}, {"fixed": "1:1.0"}], "9.9", True),
        ("PyPI", [{"introduced": "1.0"}, {"fixed": "1.5"}], "1.5rc1", True),
        ("PyPI", [{"introduced": "1.0"}, {"fixed": "1.5"}], "0.9", False),
        ("PyPI", [{"introduced": "0"}, {"last_affected": "1.5"}], "1.5", True),
        ("PyPI", [{"introduced": "0"}, {"last_affected": "1.5"}], "1.6", False),
        ("npm", [{"introduced": "2.0.0"}, {"fixed": "2.1.0"}, {"introduced": "3.0.0"}], "3.0.0", True),
        ("npm", [{"introduced": "2.0.0"}, {"fixed": "2.1.0"}, {"introduced": "3.0.0"}], "2.9.0", False),
        ("npm", [{"introduced": "0"}, {"fixed": "2.1.0"}], "2.1.0-beta.1", True),
    ],
)
def test_a_version_is_concerned_as_the_ecosystem_counts(
    tmp_path: Path, ecosystem: str, events: list[dict[str, str]], version: str, concerned: bool
) -> None:
    """Compared as text, 3.0.9 is newer than 3.0.16, and an image with a hole passes."""
    database = _database(tmp_path, _record("X-1", ecosystem, "thing", *events))
    found = list(vulnerabilities("image", {Package(ecosystem, "thing", version)}, database))
    assert [each.check for each in found] == (["X-1"] if concerned else [])


def test_only_what_has_been_mended_fails_a_scan(tmp_path: Path) -> None:
    """Debian has hundreds of faults that nobody will mend: a scan that fails on them is switched off."""
    mended = _record("CVE-1", "Debian:12", "openssl", {"introduced": "0"}, {"fixed": "4"}, aliases=["CVE-2026-9"])
    open_one = _record("CVE-2", "Debian:12", "openssl", {"introduced": "0"})
    withdrawn = _record("CVE-3", "Debian:12", "openssl", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z")
    database = _database(tmp_path, mended, open_one, withdrawn)
    found = {each.check: each for each in vulnerabilities("i", {Package("Debian:12", "openssl", "3")}, database)}
    assert {name: each.fails for name, each in found.items()} == {"CVE-1": True, "CVE-2": False}
    assert "mended in 4" in found["CVE-1"].what
    assert "CVE-2026-9" in found["CVE-1"].what


@pytest.mark.parametrize("written", ["zope.interface", "Zope_Interface", "zope-interface"])
def test_a_record_may_write_a_python_name_in_any_form(tmp_path: Path, written: str) -> None:
    """Compared letter by letter, a hole in a package with a dot in its name is never found."""
    database = _database(tmp_path, _record("X-1", "PyPI", written, {"introduced": "0"}, {"fixed": "6"}))
    found = vulnerabilities("image", {Package("PyPI", "zope-interface", "5.0")}, database)
    assert [each.check for each in found] == ["X-1"]


def test_a_database_that_has_an_empty_folder_for_an_ecosystem_judges_none_of_its_packages(tmp_path: Path) -> None:
    """A copy under another name, or one that was never made, has nothing against anything."""
    database = _database(tmp_path, _record("X-1", "PyPI", "a", {"introduced": "0"}))
    (tmp_path / "npm").mkdir()
    (tmp_path / "npm" / "all(1).zip").touch()
    found = list(vulnerabilities("image", {Package("npm", "a", "1.0.0")}, database))
    assert [(each.check, each.place) for each in found] == [("no-database", "npm")]


def test_an_ecosystem_without_a_database_is_told(tmp_path: Path) -> None:
    """Packages that nobody judged must not look like packages that are clean."""
    database = _database(tmp_path, _record("X-1", "PyPI", "a", {"introduced": "0"}))
    found = list(vulnerabilities("image", {Package("npm", "a", "1.0.0")}, database))
    assert [(each.check, each.place, each.fails) for each in found] == [("no-database", "npm", True)]


@pytest.mark.parametrize(("days", "told"), [(14, []), (15, ["old-database"])])
@pytest.mark.parametrize("form", ["archive", "records"])
def test_a_database_that_is_too_old_fails_the_scan(tmp_path: Path, form: str, days: int, told: list[str]) -> None:
    """A copy that nobody has fetched for a year finds nothing of that year."""
    database = _database(tmp_path, _record("X-1", "PyPI", "a", {"introduced": "9"}))
    if form == "records":
        (tmp_path / "PyPI" / "X-1.json").write_bytes(zipfile.ZipFile(tmp_path / "PyPI" / "all.zip").read("X-1.json"))
        (tmp_path / "PyPI" / "all.zip").unlink()
    later = datetime.now(UTC).date() + timedelta(days=days)
    found = list(vulnerabilities("image", {Package("PyPI", "a", "1.0")}, database, later))
    assert [each.check for each in found] == told


@pytest.mark.parametrize("damage", ["absent", "empty", "torn"])
def test_a_database_that_cannot_be_read_says_so(tmp_path: Path, damage: str) -> None:
    """A scan against nothing finds nothing."""
    folder = tmp_path / "osv"
    if damage != "absent":
        folder.mkdir()
    if damage == "torn":
        (folder / "npm").mkdir()
        (folder / "npm" / "all.zip").write_bytes(b"not a zip")
    with pytest.raises(UserFacingError, match="osv"):
        list(vulnerabilities("image", {Package("npm", "a", "1.0.0")}, Database(folder)))


def _exceptions(folder: Path, **changed: str) -> Path:
    entry = {
        "id": '"CVE-2026-0001"',
        "reason": '"the command that has it is not in the image"',
        "owner": '"platform"',
        "expires": "2027-01-31",
        **changed,
    }
    path = folder / "exceptions.toml"
    path.write_text("[[exception]]\n" + "".join(f"{name} = {value}\n" for name, value in entry.items() if value))
    return path


@pytest.mark.parametrize("name", ['"CVE-2026-0001"', '"CVE-2026-0001:openssl@*"', '"*:openssl@3.0.1"'])
def test_an_exception_covers_what_it_names_until_its_day(tmp_path: Path, name: str) -> None:
    """An exception by name only would also hide the same fault where it does harm, so it can name the place."""
    entries = read_exceptions(_exceptions(tmp_path, id=name), TODAY)
    assert judged([FINDING], entries, TODAY) == ([], [])
    assert judged([FINDING], entries, date(2027, 1, 31)) == ([], [])


def test_an_exception_that_has_ended_fails_with_its_name(tmp_path: Path) -> None:
    """An allow-list that nobody has to look at again grows until it allows everything."""
    entries = read_exceptions(_exceptions(tmp_path), TODAY)
    left, _ = judged([FINDING], entries, date(2027, 2, 1))
    assert FINDING in left
    assert [(each.check, each.place, each.fails) for each in left if each != FINDING] == [
        ("expired-exception", "CVE-2026-0001", True)
    ]
    assert judged([], entries, date(2027, 2, 1))[0], "also when nothing needs it any more"


def test_an_exception_of_another_image_covers_nothing_and_is_told(tmp_path: Path) -> None:
    """What no finding needs any more hides the next one."""
    entries = read_exceptions(_exceptions(tmp_path, image='"redis"'), TODAY)
    left, remarks = judged([FINDING], entries, TODAY)
    assert left == [FINDING]
    assert "CVE-2026-0001" in remarks[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"owner": ""}, "owner"),
        ({"reason": '"because"'}, "reason"),
        ({"expires": '"soon"'}, "expires"),
        ({"expires": "2028-01-01"}, "at most a year"),
        ({"until": "2027-01-01"}, "until"),
        ({"id": "oops"}, "TOML"),
    ],
)
def test_an_exception_says_what_it_lacks(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    """An entry without an owner or an end is nobody's, for ever."""
    with pytest.raises(UserFacingError) as error:
        read_exceptions(_exceptions(tmp_path, **changed), TODAY)
    assert said in f"{error.value.message} {error.value.remedy}"


@pytest.mark.parametrize("name", ["bad.yml", "bad.yaml"])
def test_faults_planted_in_dockerfiles_and_workflows_are_found(tmp_path: Path, name: str) -> None:
    """Checkers that are called wrongly find nothing, and look like a clean project."""
    (tmp_path / "images" / "bad").mkdir(parents=True)
    (tmp_path / "images" / "hadolint.yaml").write_text("failure-threshold: style\n")
    (tmp_path / "images" / "bad" / "Dockerfile").write_text("FROM debian\nRUN sudo apt-get install x\n")
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / name).write_text(
        "on: pull_request_target\njobs:\n  one:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - uses: actions/checkout@v4\n      - run: echo ${{ github.event.pull_request.title }}\n"
        "      - run: echo ${{ nothing.here }}\n"
    )
    found = {each.check for each in configuration(tmp_path, lambda _: None)}
    assert {"DL3004", "actionlint-expression", "zizmor-template-injection", "zizmor-dangerous-triggers"} <= found


def test_the_projects_own_configuration_has_nothing_to_report() -> None:
    """What is accepted stands in a checker's own configuration with its reason."""
    root = Path(configuration_module.__file__).parents[2]
    assert list(configuration(root, lambda _: None)) == []
