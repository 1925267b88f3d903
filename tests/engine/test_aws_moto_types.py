"""Every type that the aws stand-in makes in an emulator: made, found again unchanged, and gone."""

import pytest
from aws_account import account
from aws_foundations import identities_and_queues, network
from aws_machines import machines, stores

from engine.standins.aws_emulator.table import KINDS
from engine.standins.aws_identifiers import kind
from engine.standins.values import reveal

# What the API shows to nobody, or what always is there.
_UNSEEN = frozenset(
    {
        "ec2/defaultSecurityGroup",
        "ecr/registryScanningConfiguration",
        "ecr/replicationConfiguration",
        "efs/fileSystemPolicy",
        "kms/keyPolicy",
    }
)


@pytest.mark.timeout(120)
def test_every_type_of_the_table_is_really_made_found_unchanged_and_removed() -> None:
    """Prevents a table whose calls nobody ever made, and a second run that finds its own resources changed."""
    with account() as aws:
        made = identities_and_queues(aws)
        made += (base := network(aws))
        subnets, group = [base[1].id, base[2].id], base[3].id
        made += machines(aws, subnets, group, base[0].id)
        made += stores(aws, subnets, group)
        assert {kind(each.call.token) for each in made} == {*KINDS}
        assert aws.log.said == []

        for each in made:
            read = aws.provider.read(each.call, each.inputs, each.outputs)
            assert read.resource_id == each.id, each.call.token
            assert reveal(dict(read.inputs)) == reveal(each.inputs), each.call.token

        for each in reversed(made):
            aws.remove(each)
        seen = [each for each in reversed(made) if kind(each.call.token) not in _UNSEEN]
        assert [each.call.token for each in seen if aws.there(each)] == []
        for each in seen:
            aws.remove(each)  # gone already
