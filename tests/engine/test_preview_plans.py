"""Update plans on the real engine: what they hold an update to, what they refuse, and what they tell nobody."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from program_folder import ProgramFolder

from engine import configuration
from engine.errors import UserFacingError
from engine.preview import run, update_plan, writing
from engine.pulumi_cli import unrevealed

SECRETS = ("the-first-token", "the-second-token", "the-third-token")
PROGRAM = """
import pulumi, pulumi_aws as aws, pulumi_random as random
there = pulumi.ResourceOptions(provider=aws.Provider("there", region="eu-central-1"))
fleet = pulumi.Config().require_secret_object("fleet")
token, length = fleet["token"], fleet["length"]
password = random.RandomPassword("password", length=length)
aws.ssm.Parameter("token", type="SecureString", value=token, opts=there)
aws.sqs.Queue("queue", tags={"from": password.result.apply(lambda text: text[:4])}, opts=there)
"""


class Planned(ProgramFolder):
    """A deployed stack whose settings hold a secret."""

    def token(self, value: str) -> None:
        """Set the secret, as `pulumi config set --secret` in `make shell` does."""
        cli = self.session.engine()
        configuration.copy(self.paths, self.stack)
        cli.checked("config", "set", "--secret", "--path", f"{configuration.KEY}.token", value)
        text = self.paths.configuration(self.stack).read_text()
        self.source.write_text(text)

    def length(self, number: int) -> None:
        """Change what replaces the password."""
        document: Any = yaml.safe_load(self.source.read_text())
        document["config"][configuration.KEY]["length"] = number
        self.source.write_text(yaml.safe_dump(document))

    def planned(self, path: Path) -> str:
        """A preview that saves its plan; returns its report in all formats."""
        (path.parent / "policies.json").write_text('{"all": "advisory"}')
        result = run.preview(self.request(path.parent / "policies.json"), plan=path)
        assert result.deployed
        return "".join(each.read_text() for each in writing.write(path.parent / "report", result))

    def held_to(self, path: Path) -> Any:
        """The update as `make up PLAN=` runs it."""
        update_plan.check(path, self.stack, self.source)
        update_plan.check_engine(path, self.session.engine())
        return self.up(*update_plan.arguments(path, refresh=False))

    def applied(self) -> dict[str, Any]:
        """Inputs of all resources in the state, by name."""
        return {each["urn"].rpartition("::")[2]: each.get("inputs") for each in self.session.state.resources()}


@pytest.fixture
def deployed(tmp_path: Path) -> Planned:
    """The stack with its first token."""
    folder = Planned(tmp_path)
    folder.program(PROGRAM)
    folder.settings(architecture="vm", length=8)
    cli = folder.session.engine()
    configuration.copy(folder.paths, folder.stack)
    folder.session.initialise(cli)
    folder.token(SECRETS[0])
    folder.up()
    return folder


def test_an_update_does_what_its_plan_says_and_nothing_else(
    deployed: Planned, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Prevents an approval of one thing and a deployment of another, and secrets in what is handed around for it."""
    plan = tmp_path / "plan.json"
    deployed.length(9)
    deployed.token(SECRETS[1])
    report = deployed.planned(plan)
    before = deployed.applied()

    # Past our own check, which refuses other settings: what the engine itself says of a plan that does not fit.
    deployed.token(SECRETS[2])
    with pytest.raises(UserFacingError, match="violates plan: properties changed") as refused:
        deployed.up(*update_plan.arguments(plan, refresh=False))
    assert "make preview" in refused.value.remedy
    assert deployed.applied() == before, "a refused update has done a part"

    deployed.token(SECRETS[1])
    deployed.planned(plan)
    show = deployed.held_to(plan)
    assert show.changes == {"replace": 1, "same": 2, "update": 2}
    assert deployed.applied() != before
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(plan.read_text()) | {"manifest": {"version": "v4.0.0"}}))
    with pytest.raises(UserFacingError, match=r"made by the engine v4\.0\.0, and this is v3\."):
        update_plan.check_engine(other, deployed.session.engine())
    told = capfd.readouterr()
    assert "+ created anew RandomPassword password" in told.out
    assert told.out.count("created anew RandomPassword") == 1
    for text in (report, plan.read_text(), told.out, told.err, str(refused.value), *deployed.texts().values()):
        for secret in SECRETS:
            assert secret not in text


def test_a_plan_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    """Prevents prod held to a plan of staging, and a plan made before somebody changed the settings."""
    settings = tmp_path / "Pulumi.prod.yaml"
    settings.write_text(
        "config:\n  agent-fleet:fleet:\n    a: yes\n    b: [1, '2']\n    on: 1.50\n    none:\n"
        "    token: {secure: v1:abc}\n"
    )
    plan: dict[str, Any] = {
        "manifest": {"version": "v3.1.0"},
        "config": {
            "agent-fleet:fleet": {"a": "yes", "b": [1, "2"], "on": 1.5, "token": {"secure": "v1:abc"}, "none": None}
        },
        "resourcePlans": {"urn:pulumi:prod::agent-fleet::aws:sqs/queue:Queue::jobs": {}},
    }
    path = tmp_path / "plan.json"

    def refused(**changes: Any) -> str:
        path.write_text(json.dumps({**plan, **changes}))
        with pytest.raises(UserFacingError) as error:
            update_plan.check(path, "prod", settings)
        assert "PLAN=1 REPORT=folder" in error.value.remedy
        return error.value.message

    path.write_text(json.dumps(plan))
    update_plan.check(path, "prod", settings)
    other = {"urn:pulumi:staging::agent-fleet::aws:sqs/queue:Queue::jobs": {}}
    assert refused(resourcePlans=other).endswith("a plan of the stack staging, and this is prod.")
    fleet = plan["config"]["agent-fleet:fleet"]
    for changed, name in (
        ({**fleet, "a": "no"}, "fleet.a"),
        ({**fleet, "b": [1]}, "fleet.b"),
        ({**fleet, "b": [1, "3"]}, "fleet.b[1]"),
        ({**fleet, "token": {"secure": "v1:xyz"}}, "fleet.token"),
        ({**fleet, "more": 1}, "fleet.more"),
    ):
        assert refused(config={"agent-fleet:fleet": changed}).endswith(f"has now: agent-fleet:{name}.")
    assert "which is no update plan" in refused(resourcePlans=[])
    with pytest.raises(UserFacingError, match="cannot be read"):
        update_plan.check(tmp_path / "nowhere.json", "prod", settings)


def test_a_plan_does_not_hold_where_the_state_must_be_put_right_first() -> None:
    """Prevents a plan for a state that is no more."""
    assert update_plan.arguments(None, refresh=True) == ["--yes", "--skip-preview", "--refresh"]
    with pytest.raises(UserFacingError, match="state has to be put right"):
        update_plan.arguments(Path("plan.json"), refresh=True)


@pytest.mark.parametrize("value", ["{&{{hunter2}}}", 'with \\"quotes\\" and \\\\', "]], [x"])
def test_what_the_engine_tells_of_a_refused_plan_has_no_values(value: str) -> None:
    """Prevents a plan's secret in a log of CI: the engine filters those of the settings, and not those of the plan."""
    line = f'{{"message":"resource x violates plan: properties changed: ~~v[{value}!={{1}}]\\n","severity":"error"}}'
    assert unrevealed(line.encode()) == b'{"message":"resource x violates plan: properties changed","severity":"error"}'
    assert unrevealed(b'{"message":"nothing of a plan"}') == b'{"message":"nothing of a plan"}'
