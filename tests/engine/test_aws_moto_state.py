"""A stack's state on S3 with its secrets under a key, by the real engine against an emulated account."""

import json
import os
import shutil
import signal
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from aws_account import REGION, Account, account
from stack_program import Outcome, StackProgram, wait_until

from engine import configuration, plugins
from engine.commands.session import Session
from engine.commands.state import bootstrap, unlock
from engine.environment import engine_environment
from engine.paths import PROJECT, Paths
from engine.pulumi_cli import PulumiCli

BUCKET = "fleet-state-probe"
SETTINGS = f"""\
config:
  agent-fleet:fleet:
    architecture: queue
    target: ec2
    aws: {{region: {REGION}}}
"""
PROGRAM = """
import pulumi, pulumi_aws as aws, pulumi_random as random
there = pulumi.ResourceOptions(provider=aws.Provider("there", region="eu-central-1"))
queue = aws.sqs.Queue("jobs", name="jobs", opts=there)
password = random.RandomPassword("password", length=32)
pulumi.export("queue", queue.url)
pulumi.export("password", password.result)
"""
SLOW = (
    PROGRAM
    + """
from pathlib import Path
import time
Path("begun").touch()
while not Path("go").exists():
    time.sleep(0.05)
"""
)


@dataclass(frozen=True)
class Checkout(Session):
    """A checkout of its own, with the engine of this one."""

    environment: tuple[tuple[str, str], ...] = ()

    def local_engine(
        self,
        kind: plugins.Plugins = "fleet",
        wanted: Iterable[str] = plugins.DOCKER_PROVIDERS,
        state: Path | None = None,
        **variables: str,
    ) -> PulumiCli:
        """The real engine, which is not looked for again."""
        del kind, wanted, state
        return PulumiCli(self.paths, self.stack, dict(self.environment) | variables)

    def run(self, *arguments: str) -> Outcome:
        """Run the program with the stack's state wherever it is now."""
        return self.program().run(*arguments, "--config-file", str(self.paths.configuration(self.stack)))

    def program(self) -> StackProgram:
        """The program, on that state."""
        configuration.copy(self.paths, self.stack)
        cli = self.engine()
        return StackProgram(self.paths.root, cli.environment | {"PULUMI_STACK": self.stack})


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Generator[Account]:
    """An empty account, to which AWS's tools are led."""
    with account() as made:
        for name, value in {
            "AWS_ENDPOINT_URL": made.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def checkout(engine_paths: Paths, tmp_path: Path, aws: Account) -> Checkout:
    """A stack whose settings are for AWS and whose state is still beside the project."""
    paths = Paths(tmp_path / "checkout")
    programs = paths.engine_programs
    programs.parent.mkdir(parents=True)
    programs.symlink_to(engine_paths.engine_programs)
    (paths.root / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
    (paths.root / "__main__.py").write_text(PROGRAM)
    (paths.root / "Pulumi.test.yaml").write_text(SETTINGS)
    environment = engine_environment(
        engine_paths, state=paths.state, passphrase=paths.passphrase, plugins="stand-ins", base=os.environ
    )
    made = Checkout(paths, "test", 0.0, None, tuple(environment.items()))
    configuration.project(paths)
    made.local_engine().checked("stack", "init", "--no-select")
    return made


def stored(aws: Account) -> dict[str, str]:
    """Every file in the bucket."""
    s3 = aws.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode(errors="replace") for key in keys}


def outputs(checkout: Checkout) -> dict[str, str]:
    """The stack's outputs, secrets revealed."""
    return json.loads(checkout.engine().checked("stack", "output", "--json", "--show-secrets"))


@pytest.mark.timeout(300)
def test_a_stack_moves_to_the_bucket_once_and_every_command_goes_on_there(
    checkout: Checkout, aws: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """A move that loses a resource makes it twice, and one that loses a secret locks the fleet out."""
    assert checkout.run("up", "--yes", "--skip-preview").succeeded().changes == {"created": 4}
    before = outputs(checkout)

    bootstrap(checkout, None, BUCKET)
    said = capsys.readouterr().out
    assert f"everything is made in the emulator at {aws.url}" in said
    assert "Moved 5 resources of the stack test" in said
    assert f"state_bucket: {BUCKET}, region: {REGION}" in (checkout.paths.root / "Pulumi.test.yaml").read_text()
    assert not checkout.local_state.exists()
    kept = stored(aws)
    sealed = json.loads(checkout.engine().checked("stack", "export"))["deployment"]["secrets_providers"]
    assert sealed["type"] == "cloud"
    assert f"awskms:///alias/{BUCKET}" in sealed["state"]["url"]
    assert not [key for key, text in kept.items() if before["password"] in text]

    assert outputs(checkout) == before
    assert checkout.run("up", "--yes", "--skip-preview").succeeded().changes == {"unchanged": 4}
    bootstrap(checkout, None)
    assert "Made" not in (again := capsys.readouterr().out)
    assert "Moved" not in again

    # Another checkout has the tracked settings and nothing else.
    shutil.rmtree(checkout.paths.fleet / "remote-state")
    checkout.paths.configuration("test").unlink()
    assert checkout.run("up", "--yes", "--skip-preview").succeeded().changes == {"unchanged": 4}
    (checkout.paths.root / "__main__.py").write_text(PROGRAM.replace("length=32", "length=40"))
    assert checkout.run("up", "--yes", "--skip-preview").succeeded().changes == {"replaced": 1, "unchanged": 3}
    changed = outputs(checkout)["password"]
    assert len(changed) == 40
    assert not [key for key, text in stored(aws).items() if changed in text]
    assert checkout.run("destroy", "--yes", "--skip-preview").succeeded().changes == {"deleted": 4}
    assert aws.client("sqs").list_queues().get("QueueUrls", []) == []


@pytest.mark.timeout(300)
def test_the_lock_of_a_killed_engine_is_explained_and_cleared(
    checkout: Checkout, aws: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it a killed run in CI locks the stack for everybody, and the way out is a search on the web."""
    bootstrap(checkout, None, BUCKET)
    (checkout.paths.root / "__main__.py").write_text(SLOW)
    program = checkout.program()
    settings = str(checkout.paths.configuration("test"))
    with program.start("up", "--yes", "--skip-preview", "--config-file", settings) as engine:
        wait_until(lambda: (checkout.paths.root / "begun").exists(), 60, "the program to begin")
        os.killpg(engine.pid, signal.SIGSTOP)
        try:
            held = [key for key in stored(aws) if "/locks/" in key]
        finally:
            os.killpg(engine.pid, signal.SIGKILL)
        engine.communicate()
    assert len(held) == 1
    (checkout.paths.root / "go").touch()

    refused = checkout.run("up", "--yes", "--skip-preview").failed()
    assert "the stack is currently locked by 1 lock(s)" in refused.text
    capsys.readouterr()
    unlock(checkout, lambda _: True)
    said = capsys.readouterr().out
    assert f"process {engine.pid}, since 2" in said
    assert "Removed." in said
    checkout.run("up", "--yes", "--skip-preview").succeeded()
    with suppress(FileNotFoundError):
        (checkout.paths.root / "begun").unlink()
    assert checkout.run("destroy", "--yes", "--skip-preview").succeeded().changes["deleted"] == 4
