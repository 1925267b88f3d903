"""Machines and stores, made by the aws stand-in: one resource of each type at least."""

import json

from aws_account import Account, Made
from aws_foundations import POLICY


def machines(aws: Account, subnets: list[str], group: str, vpc: str) -> list[Made]:
    """A host with its volume, and a group of workers behind a balancer."""
    template = aws.make(
        "aws:ec2/launchTemplate:LaunchTemplate",
        "workers",
        imageId="ami-12345678",
        updateDefaultVersion=True,
        userData="aGFsbG8=",
        metadataOptions={"httpTokens": "required", "httpPutResponseHopLimit": 1},
        blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": {"volumeSize": 30, "encrypted": "true"}}],
        vpcSecurityGroupIds=[group],
        tagSpecifications=[{"resourceType": "instance", "tags": {"fleet": "one"}}],
    )
    workers = aws.make(
        "aws:autoscaling/group:Group",
        "workers",
        minSize=0,
        maxSize=5,
        desiredCapacity=0,
        vpcZoneIdentifiers=subnets,
        mixedInstancesPolicy={
            "instancesDistribution": {"spotAllocationStrategy": "price-capacity-optimized"},
            "launchTemplate": {
                "launchTemplateSpecification": {"launchTemplateId": template.id, "version": "1"},
                "overrides": [{"instanceType": "m7i.large"}, {"instanceType": "m6i.large"}],
            },
        },
        tags=[{"key": "fleet", "value": "one", "propagateAtLaunch": True}],
    )
    host = aws.make(
        "aws:ec2/instance:Instance",
        "host",
        ami="ami-12345678",
        instanceType="t3.micro",
        subnetId=subnets[0],
        vpcSecurityGroupIds=[group],
    )
    volume = aws.make(
        "aws:ebs/volume:Volume", "data", availabilityZone="eu-central-1a", size=10, type="gp3", encrypted=True
    )
    balancer = aws.make(
        "aws:lb/loadBalancer:LoadBalancer", "api", internal=True, subnets=subnets, securityGroups=[group]
    )
    targets = aws.make(
        "aws:lb/targetGroup:TargetGroup",
        "api",
        port=8080,
        protocol="HTTP",
        vpcId=vpc,
        healthCheck={"path": "/readyz", "matcher": "200"},
        deregistrationDelay=30,
    )
    return [
        template,
        workers,
        host,
        volume,
        balancer,
        targets,
        aws.make(
            "aws:autoscaling/lifecycleHook:LifecycleHook",
            "drain",
            autoscalingGroupName=workers.id,
            lifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
            heartbeatTimeout=600,
            defaultResult="CONTINUE",
        ),
        aws.make(
            "aws:autoscaling/policy:Policy",
            "backlog",
            autoscalingGroupName=workers.id,
            policyType="TargetTrackingScaling",
            targetTrackingConfiguration={
                "targetValue": 5.0,
                "predefinedMetricSpecification": {"predefinedMetricType": "ASGAverageCPUUtilization"},
            },
        ),
        aws.make(
            "aws:ec2/volumeAttachment:VolumeAttachment",
            "data",
            deviceName="/dev/sdf",
            instanceId=host.id,
            volumeId=volume.id,
        ),
        aws.make(
            "aws:lb/listener:Listener",
            "api",
            loadBalancerArn=balancer.id,
            port=80,
            protocol="HTTP",
            defaultActions=[{"type": "forward", "targetGroupArn": targets.id}],
        ),
    ]


def stores(aws: Account, subnets: list[str], group: str) -> list[Made]:
    """Images, files, databases, secrets, alarms."""
    repository = aws.make(
        "aws:ecr/repository:Repository",
        "runtime",
        name="fleet/runtime",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filter": "latest", "filterType": "WILDCARD"}],
        forceDelete=True,
    )
    lifecycle = {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5},
        "action": {"type": "expire"},
    }
    files = aws.make("aws:efs/fileSystem:FileSystem", "files", encrypted=True, throughputMode="elastic")
    zone = aws.make("aws:rds/subnetGroup:SubnetGroup", "data", subnetIds=subnets, description="private")
    parameters = aws.make(
        "aws:rds/parameterGroup:ParameterGroup",
        "data",
        family="postgres17",
        parameters=[{"name": "rds.force_ssl", "value": "1"}],
    )
    secret = aws.make("aws:secretsmanager/secret:Secret", "key", name="key", recoveryWindowInDays=7)
    rule = aws.make("aws:cloudwatch/eventRule:EventRule", "notices", name="notices", eventPattern='{"source":["aws"]}')
    bucket = aws.make("aws:s3/bucket:Bucket", "tools", bucket="tools-probe")
    scanned = {"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}]}
    copied = {"destinations": [{"region": "eu-west-1", "registryId": "123456789012"}]}
    default = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    return [
        repository,
        files,
        zone,
        parameters,
        secret,
        rule,
        bucket,
        aws.make(
            "aws:ecr/lifecyclePolicy:LifecyclePolicy",
            "runtime",
            repository=repository.id,
            policy=json.dumps({"rules": [lifecycle]}),
        ),
        aws.make("aws:ecr/repositoryPolicy:RepositoryPolicy", "runtime", repository=repository.id, policy=POLICY),
        aws.make(
            "aws:ecr/registryScanningConfiguration:RegistryScanningConfiguration",
            "all",
            scanType="BASIC",
            rules=[scanned],
        ),
        aws.make(
            "aws:ecr/replicationConfiguration:ReplicationConfiguration",
            "all",
            replicationConfiguration={"rules": [copied]},
        ),
        aws.make(
            "aws:efs/mountTarget:MountTarget",
            "files",
            fileSystemId=files.id,
            subnetId=subnets[0],
            securityGroups=[group],
        ),
        aws.make("aws:efs/fileSystemPolicy:FileSystemPolicy", "files", fileSystemId=files.id, policy=POLICY),
        aws.make("aws:efs/accessPoint:AccessPoint", "files", fileSystemId=files.id),
        aws.make(
            "aws:rds/instance:Instance",
            "data",
            identifier="data",
            engine="postgres",
            engineVersion="17.6",
            instanceClass="db.t4g.medium",
            allocatedStorage=20,
            username="fleet",
            password="a-made-up-one",
            dbSubnetGroupName=zone.id,
            parameterGroupName=parameters.id,
            vpcSecurityGroupIds=[group],
            skipFinalSnapshot=True,
        ),
        aws.make(
            "aws:elasticache/replicationGroup:ReplicationGroup",
            "doorbell",
            description="doorbell",
            engine="valkey",
            nodeType="cache.t4g.micro",
            numCacheClusters=2,
            automaticFailoverEnabled=True,
        ),
        aws.make("aws:secretsmanager/secretVersion:SecretVersion", "key", secretId=secret.id, secretString="made-up"),
        aws.make("aws:ssm/parameter:Parameter", "image", name="/fleet/image", type="String", value="one"),
        aws.make(
            "aws:cloudwatch/eventTarget:EventTarget",
            "notices",
            rule=rule.id,
            targetId="queue",
            arn="arn:aws:sqs:eu-central-1:123456789012:jobs",
        ),
        aws.make(
            "aws:cloudwatch/metricAlarm:MetricAlarm",
            "dead",
            name="dead",
            comparisonOperator="GreaterThanThreshold",
            evaluationPeriods=1,
            threshold=1.0,
            namespace="AWS/SQS",
            metricName="ApproximateNumberOfMessagesVisible",
            period=60,
            statistic="Sum",
            dimensions={"QueueName": "dead"},
        ),
        aws.make(
            "aws:s3/bucketVersioning:BucketVersioning",
            "tools",
            bucket=bucket.id,
            versioningConfiguration={"status": "Enabled"},
        ),
        aws.make(
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "tools", bucket=bucket.id, blockPublicAcls=True
        ),
        aws.make(
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "tools",
            bucket=bucket.id,
            rules=[default],
        ),
        aws.make("aws:s3/bucketPolicy:BucketPolicy", "tools", bucket=bucket.id, policy=POLICY),
    ]
