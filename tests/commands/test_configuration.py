"""The engine's view of a stack's settings, and the environment that it runs in."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine import configuration
from engine.environment import engine_environment, ensure_passphrase
from engine.errors import UserFacingError
from engine.paths import Paths

_SETTINGS = "# a comment\nconfig:\n  agent-fleet:fleet:\n    api: {port: 8099}\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A checkout with one stack."""
    (tmp_path / "Pulumi.local.yaml").write_text(_SETTINGS)
    return Paths(tmp_path)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_tracked_settings_stay_as_they_are(paths: Paths) -> None:
    """Prevents the engine's salt from turning up in `git diff`."""
    copied = configuration.copy(paths, "local")
    assert copied.is_relative_to(paths.fleet)
    assert copied.read_text() == _SETTINGS
    assert _mode(copied) == 0o600


def test_the_salt_outlives_a_change_of_the_settings(paths: Paths) -> None:
    """Prevents a new salt on every run, with which the state's secrets cannot be read."""
    copied = configuration.copy(paths, "local")
    copied.write_text(copied.read_text() + "encryptionsalt: v1:abc\n")
    paths.tracked_configuration("local").write_text(_SETTINGS.replace("8099", "8100"))
    text = configuration.copy(paths, "local").read_text()
    assert text.count("encryptionsalt: v1:abc") == 1
    assert "8100" in text
    paths.tracked_configuration("local").write_text(_SETTINGS + "encryptionsalt: v1:own\n")
    assert "v1:abc" not in configuration.copy(paths, "local").read_text()


def test_a_stack_without_settings_is_told_with_those_that_exist(paths: Paths) -> None:
    """Prevents "no stack named" for a misspelt STACK."""
    with pytest.raises(UserFacingError, match="'locla' has no settings") as raised:
        configuration.source(paths, "locla")
    assert "local" in raised.value.remedy


def test_settings_that_are_not_yaml_are_told_with_the_line(paths: Paths) -> None:
    """Prevents a parser's stack trace."""
    paths.tracked_configuration("local").write_text("config:\n  a: [\n")
    with pytest.raises(UserFacingError, match=r"Pulumi\.local\.yaml is not valid YAML(.|\n)*line 3"):
        configuration.fleet_settings(paths.tracked_configuration("local"))


@pytest.mark.parametrize("text", ["", "config:\n", "config: 3\n", "config: {agent-fleet:fleet: text}\n", "- a\n"])
def test_settings_of_another_shape_are_left_to_the_program(paths: Paths, text: str) -> None:
    """Prevents a TypeError where the program has a proper message."""
    paths.tracked_configuration("local").write_text(text)
    assert configuration.fleet_settings(paths.tracked_configuration("local")) == {}


def test_the_passphrase_is_made_once_and_is_private(tmp_path: Path) -> None:
    """Prevents a state that the next run cannot decrypt, and a passphrase that others can read."""
    path = tmp_path / "fleet" / "passphrase"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ensure_passphrase, [path] * 8))
    first = path.read_text()
    assert len(first) >= 40
    path.chmod(0o644)
    ensure_passphrase(path)
    assert path.read_text() == first
    assert _mode(path) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["passphrase"]


def test_the_environment_is_the_checkouts_own(paths: Paths, tmp_path: Path) -> None:
    """Prevents the user's own Pulumi settings, tokens and plugins from leaking into these stacks."""
    base = {
        "PATH": f"{paths.engine_programs}:/usr/bin",
        "PULUMI_CONFIG_PASSPHRASE": "theirs",
        "PULUMI_ACCESS_TOKEN": "theirs",
        "PULUMI_HOME": "/theirs",
        "PYTHONPATH": "/theirs",
        "KEPT": "yes",
    }
    environment = engine_environment(paths, state=tmp_path / "state", base=base)
    assert "theirs" not in "".join(environment.values())
    assert environment["KEPT"] == "yes"
    assert environment["PATH"].split(":")[0] == str(paths.engine_programs)
    assert environment["PATH"].count(str(paths.engine_programs)) == 1
    assert environment["PULUMI_BACKEND_URL"] == (tmp_path / "state").as_uri()
    assert (tmp_path / "state").is_dir()
    other = engine_environment(paths, plugins="stand-ins", base=base)
    assert other["PULUMI_HOME"] != environment["PULUMI_HOME"]


def _refusal(tmp_path: Path, settings: str) -> UserFacingError | None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"config:\n  agent-fleet:fleet: {settings}\n")
    try:
        configuration.check(Paths(Path(__file__).parents[2]), "local", file)
    except UserFacingError as error:
        return error
    return None


def test_wrong_settings_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    """Prevents a misspelt key from costing the minutes that a first run takes before the program sees it."""
    error = _refusal(tmp_path, "{architecture: vm, api: {prot: 1, queue_limit: 0}}")
    assert error is not None
    assert "fleet.api.prot" in error.message
    assert "port" in error.message
    assert "fleet.api.queue_limit" in error.message
    assert "settings.yaml" in error.remedy


@pytest.mark.parametrize(
    "settings", ["{architecture: vm}", "{architecture: vm, api: {port: {secure: v1:abc}}}", "{secure: v1:abc}"]
)
def test_settings_in_order_or_for_the_program_alone_pass(tmp_path: Path, settings: str) -> None:
    """Prevents an encrypted value, which only the engine can read, from being refused as a wrong one."""
    assert _refusal(tmp_path, settings) is None


def test_a_file_without_settings_is_refused(tmp_path: Path) -> None:
    """Prevents an empty settings file from being found out half-way."""
    error = _refusal(tmp_path, "null")
    assert error is not None
    assert "architecture: vm" in error.message
