"""What the components tell the runtime's programs, read by those programs' own settings."""

import pytest
from fleet_runtime.config import ApiSettings, WorkerSettings
from fleet_runtime.sandboxd.config import SandboxdSettings
from hypothesis import HealthCheck, given, settings
from pydantic_settings import BaseSettings
from recording import Deploy, Recording
from strategies import accepted
from test_posture import environment

PROGRAMS: dict[str, type[BaseSettings]] = {
    "api": ApiSettings,
    "worker": WorkerSettings,
    "sandboxd": SandboxdSettings,
}


def read(recording: Recording, role: str) -> BaseSettings:
    """A role's settings as its program reads them from the container's environment."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment(recording.containers()[role]).items():
            patched.setenv(name, value)
        return PROGRAMS[role]()


@pytest.mark.parametrize("role", PROGRAMS)
def test_every_variable_is_one_that_the_program_reads(fleet: Recording, role: str) -> None:
    """A misspelt variable is ignored by the program, and its default holds."""
    names = {f"FLEET_{name.upper()}" for name in PROGRAMS[role].model_fields}
    assert set(environment(fleet.containers()[role])) <= names


@pytest.mark.parametrize("role", PROGRAMS)
def test_the_program_accepts_its_environment(deploy: Deploy, preview: bool, role: str) -> None:
    """The container would crash and restart for ever."""
    if preview:
        return
    given = deploy(workers={"concurrency": 3, "drain_seconds": 7}, sandbox={"warm": 2, "languages": ["bash"]})
    found = read(given, role)
    if isinstance(found, ApiSettings):
        assert found.languages == ("bash",)
        assert len(found.bootstrap_keys) == 1
    if isinstance(found, WorkerSettings):
        assert found.concurrency == 3
        assert found.drain_seconds == 7
    if isinstance(found, SandboxdSettings):
        assert found.sandbox_templates["default"].warm == 2
        assert found.allowed_uids == {1001}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=accepted())
def test_what_settings_accept_the_programs_accept(
    deploy: Deploy, preview: bool, values: dict[str, dict[str, object]]
) -> None:
    """A range that is wider here than there would be found out by a container that never becomes healthy."""
    if preview:
        return
    found = deploy(**values)
    for role in PROGRAMS:
        read(found, role)
