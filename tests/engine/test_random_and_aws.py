"""The random and aws stand-ins on the real engine."""

import json

from stack_program import StackProgram


def test_random_values_stay_until_their_inputs_change(stack: StackProgram) -> None:
    """Prevents a new password on every run, which would lock a fleet out of its database."""

    def program(length: int, keeper: str) -> str:
        return f"""
            import pulumi, pulumi_random as random
            password = random.RandomPassword("password", length={length}, min_numeric=3, special=True, min_special=2)
            text = random.RandomString("text", length=12, upper=False, special=False, keepers={{"k": {keeper!r}}})
            identifier = random.RandomId("identifier", byte_length=8, prefix="p-")
            number = random.RandomInteger("number", min=5, max=7)
            for name, value in dict(password=password.result, text=text.result, identifier=identifier.hex,
                                    number=number.result, uuid=random.RandomUuid("uuid").result).items():
                pulumi.export(name, value)
        """

    stack.write(program(24, "one"))
    stack.up().succeeded()
    first = stack.outputs()
    assert len(first["password"]) == 24
    assert sum(letter.isdigit() for letter in first["password"]) >= 3
    assert sum(not letter.isalnum() for letter in first["password"]) >= 2
    assert first["text"].isalnum()
    assert first["text"] == first["text"].lower()
    assert first["identifier"].startswith("p-")
    assert 5 <= first["number"] <= 7
    assert stack.up().succeeded().changes == {"unchanged": 6}
    assert stack.outputs() == first

    stack.write(program(30, "two"))
    assert stack.up().succeeded().changes == {"replaced": 2, "unchanged": 4}
    second = stack.outputs()
    assert len(second["password"]) == 30
    assert second["text"] != first["text"]
    assert second["identifier"] == first["identifier"]


def test_aws_resources_live_in_state_and_say_so(stack: StackProgram) -> None:
    """Prevents a preview that needs credentials, and one that looks like a real deployment."""

    def program(block: str, tag: str) -> str:
        return f"""
            import pulumi, pulumi_aws as aws
            provider = aws.Provider("there", region="eu-central-1")
            there = pulumi.ResourceOptions(provider=provider)
            network = aws.ec2.Vpc("network", cidr_block={block!r}, tags={{"tag": {tag!r}}}, opts=there)
            subnet = aws.ec2.Subnet("subnet", vpc_id=network.id, cidr_block="10.0.1.0/24", opts=there)
            repository = aws.ecr.Repository("Agents", name="agents", opts=there)
            document = aws.iam.get_policy_document_output(statements=[{{
                "actions": ["s3:GetObject", "s3:ListBucket"], "resources": [repository.arn],
                "conditions": [{{"test": "StringEquals", "variable": "aws:x", "values": ["&{{aws:y}}"]}}],
            }}])
            pulumi.export("url", repository.repository_url)
            pulumi.export("network", network.id)
            pulumi.export("in", subnet.vpc_id)
            pulumi.export("document", document.json)
        """

    stack.write(program("10.0.0.0/16", "one"))
    preview = stack.preview().succeeded()
    assert "It keeps state only: nothing is created in AWS" in preview.text
    assert preview.changes == {"to create": 5}
    stack.up().succeeded()
    first = stack.outputs()
    assert first["url"] == "000000000000.dkr.ecr.eu-central-1.amazonaws.com/agents"
    assert first["network"] == first["in"]
    assert json.loads(first["document"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetObject"],
                "Resource": "arn:aws:ecr:eu-central-1:000000000000:repository/agents",
                "Condition": {"StringEquals": {"aws:x": "${aws:y}"}},
            }
        ],
    }

    stack.write(program("10.0.0.0/16", "two"))
    assert stack.up().succeeded().changes == {"updated": 1, "unchanged": 4}
    stack.write(program("10.9.0.0/16", "two"))
    assert stack.up().succeeded().changes["replaced"] == 2
    assert stack.outputs()["network"] != first["network"]
    assert stack.destroy().succeeded().changes == {"deleted": 5}


def test_a_secret_tag_is_secret_wherever_the_tags_are_said_again(stack: StackProgram) -> None:
    """Prevents a value that a program has marked from standing in clear in the state, under another name."""
    stack.write(
        """
        import pulumi, pulumi_aws as aws
        there = pulumi.ResourceOptions(provider=aws.Provider("there", region="eu-central-1"))
        tags = {"plain": "to-be-seen", "contact": pulumi.Output.secret("not-to-be-seen")}
        queue = aws.sqs.Queue("queue", tags=tags, opts=there)
        pulumi.export("told", queue.tags_all)
        """
    )
    up = stack.up().succeeded()
    assert "not-to-be-seen" not in up.text
    stored = "".join(stack.stored_files().values())
    assert "aws:sqs/queue:Queue" in stored
    assert "not-to-be-seen" not in stored
    assert stack.outputs()["told"] == {"plain": "to-be-seen", "contact": "not-to-be-seen"}
    assert stack.refresh().succeeded().changes == {"unchanged": 3}
    stack.destroy().succeeded()
