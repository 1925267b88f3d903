"""The commands as they are called: their messages, their exit codes, and what they leave alone."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import click
import pytest

from engine.__main__ import cli, run
from engine.errors import UserFacingError
from engine.pulumi_cli import Interrupted

_CHECKOUT = Path(__file__).parents[2]


def _engine(*arguments: str, **environment: str) -> tuple[int, str]:
    process = subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=_CHECKOUT,
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return process.returncode, process.stdout + process.stderr


@pytest.mark.parametrize("stack", ["Local", "-a", "a-", "a_b", "a" * 41, "a/b", "é", "a٣", "a\n", ""])
def test_a_name_that_is_no_stacks_is_refused_before_anything_is_done(stack: str) -> None:
    """Prevents Docker objects and files with names that nothing can remove."""
    code, output = _engine("down", f"--stack={stack}")
    assert code == 1
    assert "Traceback" not in output
    assert "lower-case letters" in output


@pytest.mark.parametrize("variable", ["STACK=", "STACK=it's", "STACK=a b", "STACK=a;false"])
def test_a_variable_of_make_is_refused_and_not_run(variable: str) -> None:
    """Prevents the default stack's removal for an empty name, and the shell's syntax errors for a quote."""
    command = ["make", "--no-print-directory", "down", variable]
    ended = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode
    assert f"STACK is {variable.removeprefix('STACK=')!r}" in ended.stderr


def test_the_settings_file_of_make_may_have_a_quote_in_its_name() -> None:
    """Prevents a syntax error of the shell in place of what is wrong."""
    command = ["make", "--no-print-directory", "preview", "STACK=never-there", "CONFIG=/nowhere/it's.yaml"]
    ended = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, check=False, timeout=60)
    assert "/nowhere/it's.yaml does not exist" in ended.stderr


def test_a_folder_in_the_place_of_the_settings_file_is_one_error(tmp_path: Path) -> None:
    """Prevents click's own words and exit code for a mistake that every other command explains."""
    code, output = _engine("preview", "--stack=never-there", CONFIG=str(tmp_path))
    assert code == 1
    assert output.strip().splitlines() == [
        f"{tmp_path} is a folder, where a settings file is wanted.",
        "Name the file: CONFIG=folder/Pulumi.<stack>.yaml.",
    ]


def test_a_stack_that_was_never_up_can_be_taken_down(tmp_path: Path) -> None:
    """Prevents a failing clean-up after a failing `make up`; and it must not need the engine for it."""
    code, output = _engine("down", "--stack=never-there", XDG_CACHE_HOME=str(tmp_path))
    assert (code, output.strip()) == (0, "agent-fleet-never-there was not up: nothing to remove.")


def test_a_misspelt_stack_is_told_with_those_that_exist() -> None:
    """Prevents a stack trace, or a new empty stack, for a typing mistake."""
    code, output = _engine("preview", "--stack=locl")
    assert code == 1
    assert "Pulumi.locl.yaml does not exist" in output
    assert "local-cluster" in output


def test_a_refused_setting_is_one_message_and_changes_nothing(tmp_path: Path) -> None:
    """Prevents a stack trace for a mistake in the settings, and a salt in the user's file."""
    settings = tmp_path / "Pulumi.refused.yaml"
    text = "config:\n  agent-fleet:fleet:\n    architecture: vm\n    target: docker\n    api: {prot: 8080}\n"
    settings.write_text(text)
    code, output = _engine("preview", "--stack=refused", f"--config={settings}")
    assert code == 1
    assert "fleet.api.prot" in output
    assert "Traceback" not in output
    assert "Program exited" not in output
    assert settings.read_text() == text
    assert not (_CHECKOUT / ".fleet" / "Pulumi.refused.yaml").exists()


def _without_credentials(folder: Path) -> dict[str, str]:
    empty = {name: "" for name in os.environ if name.startswith("AWS_")}
    return {**empty, "HOME": str(folder), "KUBECONFIG": "", "XDG_CACHE_HOME": str(Path.home() / ".cache")}


def test_prod_is_previewed_whole_without_credentials_and_a_cluster(tmp_path: Path) -> None:
    """Prevents a plan that only those can read who could also carry it out."""
    code, output = _engine("preview", "--stack=prod", **_without_credentials(tmp_path))
    assert code == 0, output
    assert "Stand-ins, not Pulumi's own plugins, serve" in output
    for wanted in ("+ create       Cluster", "+ create       Namespace", "+ create       Deployment", "to create"):
        assert wanted in output


def test_prod_is_not_deployed_without_credentials(tmp_path: Path) -> None:
    """Prevents a state full of things that a stand-in says it has made."""
    code, output = _engine("up", "--stack=prod", **_without_credentials(tmp_path))
    assert code == 1, output
    assert "Traceback" not in output
    assert not (_CHECKOUT / ".fleet" / "state" / ".pulumi" / "stacks" / "agent-fleet" / "prod.json").exists()


@pytest.mark.parametrize(
    ("stack", "wanted"),
    [("dev", ("Instance", "LoadBalancer")), ("staging", ("Group", "Queue", "LoadBalancer", "MetricAlarm"))],
)
def test_a_stack_on_ec2_is_previewed_whole_without_credentials(
    tmp_path: Path, stack: str, wanted: tuple[str, ...]
) -> None:
    """Prevents a plan that only those can read who could also carry it out."""
    code, output = _engine("preview", f"--stack={stack}", **_without_credentials(tmp_path))
    assert code == 0, output
    assert "Stand-ins, not Pulumi's own plugins, serve" in output
    for kind in wanted:
        assert f"+ create       {kind} agent-fleet-{stack}" in output
    assert "in all" in output


@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_a_stack_on_ec2_is_not_deployed_without_credentials(tmp_path: Path, stack: str) -> None:
    """Prevents a state full of things that a stand-in says it has made."""
    code, output = _engine("up", f"--stack={stack}", **_without_credentials(tmp_path))
    assert code == 1, output
    assert "There are no AWS credentials on this machine" in output
    assert "Traceback" not in output
    assert not (_CHECKOUT / ".fleet" / "state" / ".pulumi" / "stacks" / "agent-fleet" / f"{stack}.json").exists()


def _command(error: BaseException) -> click.Command:
    def fail() -> None:
        raise error

    return click.Command("command", callback=fail)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UserFacingError("The disk is full.", "Free some."), 1, "The disk is full.\nFree some."),
        (Interrupted(), 130, "goes on from here"),
        (KeyboardInterrupt(), 130, "goes on from here"),
        (SystemExit(3), 3, ""),
    ],
)
def test_every_end_has_its_code_and_no_stack_trace(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents stack traces on a user's screen, and failures that scripts take for success."""
    monkeypatch.setattr(sys, "argv", ["engine"])
    assert run(_command(error)) == code
    output = capsys.readouterr().err
    assert told in output
    assert "Traceback" not in output


def test_an_unforeseen_error_is_told_in_two_lines_and_logged_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents a stack trace on the screen, and a report without one."""
    log = tmp_path / "log"
    monkeypatch.setattr(sys, "argv", ["engine"])
    monkeypatch.setattr("engine.__main__._log_unexpected", lambda: log)
    assert run(_command(ValueError("unforeseen"))) == 1
    output = capsys.readouterr().err
    assert "ValueError: unforeseen" in output
    assert str(log) in output
    assert "Traceback" not in output


def test_every_command_of_the_readme_is_one_of_the_makefile() -> None:
    """Prevents a README whose commands do not exist, and commands that `make` does not list."""
    makefile = (_CHECKOUT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md", ".pre-commit-config.yaml"):
        named = set(
            re.findall(
                r"\bmake (?:-s )?([a-z]+(?:-[a-z]+)*)\b(?=[`\s]*$|`| STACK)", (_CHECKOUT / document).read_text(), re.M
            )
        )
        assert named <= targets, f"{document}: {named - targets}"
    assert targets - described == {"environment", "requirements-check"}
    assert set(cli.commands) - {"prepare"} <= described


def test_the_list_of_commands_needs_nothing_installed() -> None:
    """Prevents a first `make` that downloads for minutes before it says what there is."""
    listed = subprocess.run(["make"], cwd=_CHECKOUT, capture_output=True, text=True, check=True, timeout=10).stdout
    assert {"up", "down", "status", "logs", "preview", "shell", "test"} <= set(re.findall(r"^  (\S+)", listed, re.M))


def test_plain_pulumi_works_in_the_shell_and_changes_no_tracked_file(tmp_path: Path) -> None:
    """Prevents `make shell` from writing a salt into Pulumi.local.yaml, and from using settings of an hour ago."""
    stack = f"probe-{uuid.uuid4().hex[:10]}"
    settings = tmp_path / f"Pulumi.{stack}.yaml"
    shutil.copy(_CHECKOUT / "Pulumi.local.yaml", settings)
    preview = "pulumi preview --non-interactive --color never"
    change = f"sed 's/  port: 8080/  port: 99999/' '{settings}' > '{settings}.new'; cp '{settings}.new' '{settings}'"
    restore = f"cp '{_CHECKOUT / 'Pulumi.local.yaml'}' '{settings}'"
    shell = tmp_path / "shell"
    shell.write_text(f"#!/bin/sh\n{preview}\npulumi stack ls\n{change}\n! {preview} || exit 9\n{restore}\n")
    shell.chmod(0o755)
    try:
        code, output = _engine("shell", f"--stack={stack}", f"--config={settings}", SHELL=str(shell))
        assert code == 0, output
        assert f"Previewing update ({stack})" in output
        assert "fleet.api.port" in output
        assert "99999" in output
        assert re.search(rf"^{stack}\b", output, re.M)
        assert settings.read_text() == (_CHECKOUT / "Pulumi.local.yaml").read_text()
        assert not (_CHECKOUT / settings.name).exists()
    finally:
        assert _engine("down", f"--stack={stack}")[0] == 0
