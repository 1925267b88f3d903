"""Previews under the policies on the real engine: what reaches the report, and what makes it no report at all."""

import json
from pathlib import Path

import pytest
from program_folder import ProgramFolder

from engine.commands.preview import show
from engine.errors import UserFacingError
from engine.preview import run, writing
from engine.preview.result import GATE, Result, Verdict

SECRET = "not-for-anybody-else"
PROGRAM = """
import json, pulumi, pulumi_aws as aws, pulumi_random as random
there = pulumi.ResourceOptions(provider=aws.Provider("there", region="eu-central-1"))
given = pulumi.Config().require_secret_object("fleet")
credential = given.apply(lambda fleet: fleet["credential"])
days = random.RandomBytes("days", length=4).hex.apply(len)
key = aws.kms.Key("key", enable_key_rotation=True, policy=random.RandomId("id", byte_length=4).hex, opts=there)
aws.cloudwatch.LogGroup("unlisted", retention_in_days=days, opts=there)
aws.cloudwatch.LogGroup("for ever | `now`", opts=there)
aws.ssm.Parameter("parameter", type="SecureString", value=credential, opts=there)
aws.sqs.Queue("queue", tags={"credential": credential}, sqs_managed_sse_enabled=False, opts=there)
pulumi.log.warn("about to use " + "something")
pulumi.export("credential", credential)
"""


@pytest.fixture
def folder(tmp_path: Path) -> ProgramFolder:
    """A stack that was never deployed."""
    return ProgramFolder(tmp_path)


def written(result: Result, folder: Path) -> dict[str, str]:
    """The report's files."""
    writing.prepare(folder)
    return {path.name: path.read_text() for path in writing.write(folder, result)}


def test_a_preview_reports_changes_violations_and_what_nobody_could_judge(
    folder: ProgramFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents a report that leaves out what the engine said, and one that tells a secret of the settings."""
    folder.program(
        PROGRAM.replace('given.apply(lambda fleet: fleet["credential"])', f"pulumi.Output.secret({SECRET!r})")
    )
    result = run.preview(folder.request())
    show(result)
    files = written(result, tmp_path / "report")
    assert result.verdict is Verdict.VIOLATED
    assert not result.deployed
    said = {(each.rule, each.urn.rpartition("::")[2]) for each in result.policies.violations}
    assert {("logs-retention", "for ever | `now`"), (GATE, "unlisted"), ("sqs-encrypted", "queue")} <= said
    assert result.policies.waiting == {"kms-rotation": 1}
    assert {each.action for each in result.changes} == {"create"}
    assert len(result.changes) == 7
    assert result.stand_ins == ["aws", "random"]
    assert "warning: about to use something" in result.notices
    assert json.loads(files["preview.json"])["policies"]["not_judged"] == {"unlisted": 1, "listed": {"kms-rotation": 1}}
    for text in (*files.values(), capsys.readouterr().out, *folder.texts().values()):
        assert SECRET not in text


def test_a_secret_of_the_settings_is_needed_by_no_preview_that_is_thrown_away(
    folder: ProgramFolder, tmp_path: Path
) -> None:
    """Prevents CI that must hold a key to judge a pull request; what a key elsewhere sealed opens nowhere here."""
    folder.program(PROGRAM)
    folder.source.write_text(
        "secretsprovider: awskms:///alias/elsewhere?region=eu-west-1\nencryptedkey: bm90aGluZw==\n"
        "config:\n  agent-fleet:fleet:\n    architecture: vm\n    credential: {secure: 'v1:AAAAAAAAAAAAAAAA:AAAA'}\n"
    )
    before = folder.source.read_text()
    result = run.preview(folder.request())
    assert {each.name for each in result.changes} >= {"parameter", "queue"}
    assert folder.source.read_text() == before
    assert not list(folder.paths.fleet.glob("Pulumi.*.yaml"))
    assert all("in-place-of-a-secret" not in text for text in written(result, tmp_path / "report").values())


@pytest.mark.parametrize(
    ("program", "policies", "wanted"),
    [
        ("raise ValueError('no program today')", "{}", "no program today"),
        (
            "import pulumi_aws as aws; aws.sqs.Queue('q', visibility_timeout_seconds='soon')",
            "{}",
            "visibilityTimeoutSec",
        ),
        ("", '{"logs-retentoin": "mandatory"}', "logs-retentoin: there is no such rule"),
    ],
    ids=["program", "input", "rule"],
)
def test_what_breaks_a_preview_is_one_message(
    folder: ProgramFolder, tmp_path: Path, program: str, policies: str, wanted: str
) -> None:
    """Prevents a verdict on half a stack, which nothing tells from a whole one."""
    folder.program(program)
    (tmp_path / "policies.json").write_text(policies)
    with pytest.raises(UserFacingError, match=wanted) as broken:
        run.preview(folder.request(tmp_path / "policies.json"))
    assert "Traceback" not in str(broken.value)


def test_a_pack_that_does_not_start_breaks_the_preview_with_its_own_reason(folder: ProgramFolder) -> None:
    """Prevents a stack that nobody has judged from passing for clean."""
    folder.program("")
    (folder.root / "policies").unlink()
    pack = folder.root / "policies"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: {name: python, options: {virtualenv: ../.venv}}\n")
    (pack / "__main__.py").write_text("raise ValueError('no pack today')")
    with pytest.raises(UserFacingError, match="no pack today") as broken:
        run.preview(folder.request())
    assert "Traceback" not in str(broken.value)


@pytest.mark.parametrize(("text", "wanted"), [("{", "is no valid JSON"), ("[]", "no rules by their names")])
def test_what_configures_the_pack_is_refused_before_the_engine_starts(
    folder: ProgramFolder, tmp_path: Path, text: str, wanted: str
) -> None:
    """Prevents the engine's own words for a missing comma."""
    (tmp_path / "policies.json").write_text(text)
    with pytest.raises(UserFacingError, match=wanted):
        run.configured(folder.session, tmp_path / "policies.json")
    with pytest.raises(UserFacingError, match=r"POLICIES is .*cannot be read"):
        run.configured(folder.session, tmp_path / "nowhere.json")
