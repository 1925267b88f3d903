"""Queues, identities and a network, made by the aws stand-in: one resource of each type at least."""

import json

from aws_account import Account, Made

POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


def identities_and_queues(aws: Account) -> list[Made]:
    """A queue, a key, and a role with what hangs on it."""
    dead = aws.make("aws:sqs/queue:Queue", "dead", name="dead")
    redrive = json.dumps({"deadLetterTargetArn": dead.outputs["arn"], "maxReceiveCount": 3})
    queue = aws.make("aws:sqs/queue:Queue", "jobs", name="jobs", visibilityTimeoutSeconds=60, tags={"fleet": "one"})
    role = aws.make("aws:iam/role:Role", "worker", assumeRolePolicy=TRUST)
    policy = aws.make("aws:iam/policy:Policy", "worker", policy=POLICY)
    key = aws.make("aws:kms/key:Key", "key", description="a key", enableKeyRotation=True, deletionWindowInDays=30)
    return [
        dead,
        queue,
        aws.make("aws:sqs/redrivePolicy:RedrivePolicy", "jobs", queueUrl=queue.id, redrivePolicy=redrive),
        aws.make("aws:sqs/queuePolicy:QueuePolicy", "jobs", queueUrl=queue.id, policy=POLICY),
        aws.make(
            "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
            "dead",
            queueUrl=dead.id,
            redriveAllowPolicy=json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [queue.outputs["arn"]]}),
        ),
        role,
        policy,
        key,
        aws.make("aws:sns/topic:Topic", "alarms", name="alarms"),
        aws.make("aws:iam/rolePolicy:RolePolicy", "worker", role=role.id, policy=POLICY),
        aws.make("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "worker", role=role.id, policyArn=policy.id),
        aws.make("aws:iam/instanceProfile:InstanceProfile", "worker", role=role.id),
        aws.make("aws:kms/alias:Alias", "key", name="alias/key", targetKeyId=key.id),
        aws.make("aws:kms/keyPolicy:KeyPolicy", "key", keyId=key.id, policy=POLICY),
    ]


def network(aws: Account) -> list[Made]:
    """A VPC with two subnets first, a group third, and a way in and out."""
    vpc = aws.make("aws:ec2/vpc:Vpc", "net", cidrBlock="10.0.0.0/16", enableDnsSupport=True, enableDnsHostnames=True)
    subnets = [
        aws.make(
            "aws:ec2/subnet:Subnet",
            zone,
            vpcId=vpc.id,
            cidrBlock=block,
            availabilityZone=zone,
            mapPublicIpOnLaunch=False,
        )
        for zone, block in (("eu-central-1a", "10.0.1.0/24"), ("eu-central-1b", "10.0.2.0/24"))
    ]
    group = aws.make("aws:ec2/securityGroup:SecurityGroup", "net", vpcId=vpc.id, description="nodes")
    gateway = aws.make("aws:ec2/internetGateway:InternetGateway", "net", vpcId=vpc.id)
    table = aws.make("aws:ec2/routeTable:RouteTable", "net", vpcId=vpc.id)
    address = aws.make("aws:ec2/eip:Eip", "net", domain="vpc")
    logs = aws.make("aws:cloudwatch/logGroup:LogGroup", "net", name="/fleet/flow", retentionInDays=90)
    service = "com.amazonaws.eu-central-1"
    return [
        vpc,
        *subnets,
        group,
        gateway,
        table,
        address,
        logs,
        aws.make("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "net", vpcId=vpc.id, ingress=[], egress=[]),
        aws.make(
            "aws:ec2/route:Route",
            "net",
            routeTableId=table.id,
            destinationCidrBlock="0.0.0.0/0",
            gatewayId=gateway.id,
        ),
        aws.make(
            "aws:ec2/routeTableAssociation:RouteTableAssociation",
            "net",
            routeTableId=table.id,
            subnetId=subnets[0].id,
        ),
        aws.make("aws:ec2/natGateway:NatGateway", "net", allocationId=address.id, subnetId=subnets[0].id),
        aws.make(
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "net",
            securityGroupId=group.id,
            ipProtocol="tcp",
            fromPort=443,
            toPort=443,
            cidrIpv4="10.0.0.0/16",
        ),
        aws.make(
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            "net",
            securityGroupId=group.id,
            ipProtocol="-1",
            referencedSecurityGroupId=group.id,
        ),
        aws.make(
            "aws:ec2/vpcEndpoint:VpcEndpoint",
            "s3",
            vpcId=vpc.id,
            serviceName=f"{service}.s3",
            vpcEndpointType="Gateway",
            routeTableIds=[table.id],
        ),
        aws.make(
            "aws:ec2/flowLog:FlowLog",
            "net",
            vpcId=vpc.id,
            trafficType="ALL",
            logDestination=logs.outputs["arn"],
            iamRoleArn="arn:aws:iam::123456789012:role/flow",
            maxAggregationInterval=60,
        ),
    ]
