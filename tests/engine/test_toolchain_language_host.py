"""The language host on the real engine: what a program says and how it ends reaches the user."""

import os
import signal
from pathlib import Path

from stack_program import StackProgram, wait_until


def _runs(folder: Path) -> list[int]:
    """Processes of Pulumi's Python executor that work in `folder`."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command, place = (entry / "cmdline").read_bytes(), (entry / "cwd").readlink()
            except OSError:
                continue
            if place == folder and (b"pulumi-language-python-exec" in command or b"engine.language_host" in command):
                found.append(int(entry.name))
    return found


def test_a_programs_output_and_configuration_pass_through(stack: StackProgram) -> None:
    """Prevents settings that do not arrive and prints that vanish."""
    stack.write(
        """
        import pulumi, sys
        print("on standard output")
        print("on standard error", file=sys.stderr)
        pulumi.export("setting", pulumi.Config().require("setting"))
        pulumi.export("secret", pulumi.Config().require_secret("secret"))
        """
    )
    stack.run("config", "set", "setting", "seventeen").succeeded()
    stack.run("config", "set", "--secret", "secret", "hidden").succeeded()
    outcome = stack.up().succeeded()
    assert "on standard output" in outcome.text
    assert "on standard error" in outcome.text
    assert "hidden" not in outcome.text
    assert stack.outputs() == {"setting": "seventeen", "secret": "hidden"}


def test_an_error_of_the_program_is_told_once_and_fails_the_run(stack: StackProgram) -> None:
    """Prevents a failed program from looking like a success, and stack traces for errors that were meant for users."""
    stack.write('import pulumi\nraise pulumi.RunError("the port is taken")')
    text = stack.preview().failed().text
    assert "the port is taken" in text
    assert "Traceback" not in text


def test_an_unexpected_exception_is_not_doubled_by_the_host(stack: StackProgram) -> None:
    """Prevents a second error on top of the executor's own: exit code 32 means that the user has been told."""
    stack.write('raise ValueError("unforeseen")')
    text = stack.preview().failed().text
    assert "ValueError: unforeseen" in text
    assert "non-zero exit code" not in text


def test_a_program_that_exits_with_a_code_fails_the_run(stack: StackProgram) -> None:
    """Prevents `sys.exit(3)` from passing for a finished program."""
    stack.write("import os\nos._exit(3)")
    assert "exited with non-zero exit code: 3" in stack.preview().failed().text


def test_a_missing_virtual_environment_is_named(stack: StackProgram) -> None:
    """Prevents a FileNotFoundError where Pulumi.yaml names an environment that is not made yet."""
    (stack.folder / "Pulumi.yaml").write_text(
        "name: probe\nruntime:\n  name: python\n  options:\n    virtualenv: .venv\n"
    )
    stack.write("")
    text = stack.preview().failed().text
    assert "virtualenv of Pulumi.yaml is '.venv'" in text
    assert "bootstrap.sh" in text


def test_the_virtual_environment_of_the_project_runs_the_program(stack: StackProgram, engine_paths: object) -> None:
    """Prevents programs from running in the language host's Python instead of their own."""
    home = Path(os.environ.get("VIRTUAL_ENV") or Path(__file__).parents[2] / ".venv")
    (stack.folder / "own").symlink_to(home)
    (stack.folder / "Pulumi.yaml").write_text(
        "name: probe\nruntime:\n  name: python\n  options:\n    virtualenv: own\n"
    )
    stack.write('import os, pulumi\npulumi.export("environment", os.environ["VIRTUAL_ENV"])')
    stack.up().succeeded()
    assert stack.outputs()["environment"] == str(stack.folder / "own")


def test_interrupting_the_engine_ends_the_program_quietly(stack: StackProgram) -> None:
    """Prevents programs that go on after Ctrl-C, and a stack trace of the host for it."""
    stack.write(
        """
        import pathlib, time
        pathlib.Path("begun").touch()
        time.sleep(300)
        """
    )
    with stack.start("preview") as process:
        wait_until((stack.folder / "begun").exists, 30, "the program to begin")
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    wait_until(lambda: not _runs(stack.folder), 15, "the program and its host to end")
    assert "Traceback" not in text


def test_a_killed_engine_takes_the_program_with_it(stack: StackProgram) -> None:
    """Prevents a program that registers resources with nobody, and a host that stays for ever."""
    stack.write(
        """
        import pathlib, time
        pathlib.Path("begun").touch()
        time.sleep(300)
        """
    )
    with stack.start("preview") as process:
        wait_until((stack.folder / "begun").exists, 30, "the program to begin")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    wait_until(lambda: not _runs(stack.folder), 15, "the program and its host to end")


def test_about_names_python_and_what_the_program_depends_on(stack: StackProgram) -> None:
    """Prevents `pulumi about`, which bug reports begin with, from failing on this host."""
    stack.write("")
    text = stack.run("about").succeeded().text
    assert "python: executable=" in text
    assert "agent-fleet" in text.replace("_", "-")


def test_plugins_come_without_noise(stack: StackProgram) -> None:
    """Prevents a warning for every plugin on every run ("using ... from $PATH")."""
    stack.write('import pulumi_random as random\nrandom.RandomPassword("password", length=8)')
    assert "$PATH" not in stack.preview().succeeded().text
