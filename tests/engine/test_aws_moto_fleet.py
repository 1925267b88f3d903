"""What the engine makes in an emulated account is there to be used: API and worker run on the queue of a real `up`."""

from collections.abc import Generator
from typing import Any

import pytest
from aws_account import REGION, Account, account, settings
from calls import result, run, submit
from fleet_runtime.migrations.runner import migrate
from postgres_server import NoServerError, start_server
from runtime_processes import start_stack, until
from sqs_carrier import aws_environment
from stack_program import StackProgram

PROGRAM = """
import agent_fleet as fleet
import pulumi, pulumi_aws as aws
from agent_fleet.aws.instance_role import declare_instance_role

NAME = "agent-fleet-probe"
there = pulumi.ResourceOptions(provider=aws.Provider("there", region=%(region)r, endpoints=%(endpoints)r))
network = fleet.Network(NAME, {
    "fleet": NAME, "region": %(region)r, "zones": [%(region)r + "a", %(region)r + "b"], "cidr": "10.64.0.0/16",
    "nat": "one", "interface_endpoints": ["sqs"],
}, opts=there)
queue = fleet.JobQueue(f"{NAME}-jobs", {
    "fleet": NAME, "visibility_timeout_seconds": %(visibility)r, "maximum_receives": 5,
}, opts=there)
for role, actions in {"api": ["SendMessage"], "workers": ["DeleteMessage", "ReceiveMessage", "SendMessage"]}.items():
    declare_instance_role(f"{NAME}-{role}", [
        {"Effect": "Allow", "Action": [f"sqs:{each}" for each in actions], "Resource": queue.arn},
    ], {"fleet": NAME}, there)
pulumi.export("queue", queue.url)
pulumi.export("dead_letters", queue.dead_letter_url)
pulumi.export("subnets", network.private_subnet_ids)
"""


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A migrated database on a server of this module's own."""
    try:
        server = start_server(tmp_path_factory.mktemp("postgres"))
    except NoServerError as error:
        pytest.skip(f"needs PostgreSQL: {error}")
    try:
        migrate(server.url)
        yield server.url
    finally:
        server.remove()


@pytest.fixture
def aws() -> Generator[Account]:
    """An empty account."""
    with account() as made:
        yield made


def program(aws: Account, visibility: int = 60) -> str:
    """The program, led to the emulator."""
    given = settings(aws.url)
    return PROGRAM % {"region": REGION, "endpoints": given["endpoints"], "visibility": visibility}


def everything(aws: Account) -> dict[str, list[str]]:
    """What is in the account, of the services that the program uses."""
    ec2, iam = aws.client("ec2"), aws.client("iam")
    found: dict[str, Any] = {
        "queues": aws.client("sqs").list_queues().get("QueueUrls", []),
        "roles": [each["RoleName"] for each in iam.list_roles()["Roles"]],
        "profiles": [each["InstanceProfileName"] for each in iam.list_instance_profiles()["InstanceProfiles"]],
        "networks": [each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"]],
        "subnets": [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]],
        "groups": [each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]],
        "tables": [each["RouteTableId"] for each in ec2.describe_route_tables()["RouteTables"]],
        "gateways": [each["InternetGatewayId"] for each in ec2.describe_internet_gateways()["InternetGateways"]],
        "addresses": [each["AllocationId"] for each in ec2.describe_addresses()["Addresses"]],
        "flow logs": [each["FlowLogId"] for each in ec2.describe_flow_logs()["FlowLogs"]],
        "log groups": [each["logGroupName"] for each in aws.client("logs").describe_log_groups()["logGroups"]],
        "nat": [
            each["NatGatewayId"] for each in ec2.describe_nat_gateways()["NatGateways"] if each["State"] != "deleted"
        ],
        "endpoints": [
            each["VpcEndpointId"] for each in ec2.describe_vpc_endpoints()["VpcEndpoints"] if each["State"] != "deleted"
        ],
    }
    return {name: sorted(values) for name, values in found.items()}


@pytest.mark.timeout(600)
def test_api_and_worker_run_on_the_queue_that_up_has_made_and_down_leaves_nothing(
    stack: StackProgram, aws: Account, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue that is only in a state rings for nobody."""
    before = everything(aws)
    stack.write(program(aws))
    made = stack.up().succeeded()
    assert f"the emulator at {aws.url}" in made.text
    assert "kept in the state only" not in made.text
    outputs = stack.outputs()
    url = outputs["queue"]
    there = everything(aws)
    assert {url, outputs["dead_letters"]} == set(there["queues"])
    assert set(outputs["subnets"]) < set(there["subnets"])
    # With a refresh: nothing of what the emulator says differs from what was asked for.
    assert stack.up("--refresh").succeeded().changes == {"unchanged": made.changes["created"]}

    for name, value in aws_environment().items():
        monkeypatch.setenv(name, value)
    sqs = aws.client("sqs")

    def rings() -> int:
        # What the ended worker still had asked for goes to nobody, and is hidden for a while.
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return sum(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))

    with (
        start_stack(database_url, workers=1, DOORBELL="sqs", SQS_QUEUE_URL=url, SQS_REGION=REGION) as running,
        running.client() as client,
    ):
        assert run(client, code="print(6 * 7)")["stdout"] == "42\n"
        running.workers[0].terminate()
        running.workers[0].popen.wait(timeout=30)
        job = submit(client, code="print('rung for')")
        until(lambda: rings() >= 1, what="a ring in the queue")
        running.start_worker()
        assert result(client, job, wait=60)["stdout"] == "rung for\n"

    stack.write(program(aws, visibility=90))
    assert stack.up().succeeded().changes == {"updated": 1, "unchanged": made.changes["created"] - 1}
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    assert found["VisibilityTimeout"] == "90"

    assert stack.destroy().succeeded().changes == {"deleted": made.changes["created"]}
    assert everything(aws) == before


def test_what_was_removed_behind_its_back_is_made_again_after_a_refresh(stack: StackProgram, aws: Account) -> None:
    """A state that goes on naming a queue that is gone is a fleet without a doorbell."""
    stack.write(
        f"""
        import pulumi, pulumi_aws as aws
        there = pulumi.ResourceOptions(provider=aws.Provider(
            "there", region={REGION!r}, endpoints={settings(aws.url)["endpoints"]!r}))
        pulumi.export("queue", aws.sqs.Queue("jobs", name="jobs", opts=there).url)
        """
    )
    stack.up().succeeded()
    aws.client("sqs").delete_queue(QueueUrl=stack.outputs()["queue"])
    assert stack.up("--refresh").succeeded().changes["created"] == 1
    assert aws.client("sqs").list_queues()["QueueUrls"] == [stack.outputs()["queue"]]


def test_an_endpoint_elsewhere_stops_the_run_before_anything_is_made(stack: StackProgram) -> None:
    """The stand-in must reach nothing but this machine."""
    stack.write(
        f"""
        import pulumi, pulumi_aws as aws
        provider = aws.Provider("there", region={REGION!r}, endpoints=[{{"sqs": "https://sqs.example.org"}}])
        aws.sqs.Queue("jobs", opts=pulumi.ResourceOptions(provider=provider))
        """
    )
    refused = stack.up().failed()
    assert "endpoints.sqs: is 'https://sqs.example.org', which is not on this machine" in refused.text
    assert "Traceback" not in refused.text
