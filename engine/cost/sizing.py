"""Which architecture at which load (D11): each is drawn as a plan for a steady load and priced by the same rules.

The shapes are those of the shipped stacks dev, staging and prod, with as many hosts as the load takes;
tests/unit/test_cost_sizing.py holds them against what these stacks declare.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.cost.estimate import Estimate, estimate
from engine.cost.planned import Plan, Planned
from engine.cost.price_table import price_table, regional

LOADS = (1, 10, 50, 100, 500, 1_000, 5_000, 10_000)
"""Jobs a minute. The documents have one host for less than 100, queue and workers for 100 to 10,000 (D1, D2)."""
_VM_TYPES = ("m7i.large", "m7i.xlarge", "m7i.2xlarge", "m7i.4xlarge", "m7i.8xlarge")
_VM_OWN_VCPUS = 1
"""What the fleet's own programs and the database take of the one host."""
_WORKER, _WORKER_VCPUS = "m7i.large", 2
_NODE, _NODE_VCPUS = "m7i.2xlarge", 8
FLOOR = 2
"""Hosts on demand that queue and cluster keep; all others are spot instances (D7)."""
_ZONES = 3


@dataclass(frozen=True)
class Sized:
    """One architecture at one load."""

    architecture: str
    hosts: str
    """What runs the jobs."""
    estimate: Estimate

    def usd_per_thousand(self, jobs_per_minute: int) -> float:
        """Everything that the month costs, shared among its jobs."""
        jobs = jobs_per_minute * 60 * price_table().hours_per_month
        return self.estimate.usd_at_rest / jobs * 1_000


def busy_vcpus(jobs_per_minute: int) -> float:
    """vCPUs that a steady load needs, with the room that the price table's assumptions leave."""
    prices = regional(price_table().region)
    busy = jobs_per_minute / 60 * prices.assumed("job_seconds") * prices.assumed("job_vcpus")
    return busy / prices.assumed("worker_utilisation")


def vm(jobs_per_minute: int, region: str) -> Sized | None:
    """One host; None where no type is large enough."""
    needed = busy_vcpus(jobs_per_minute) + _VM_OWN_VCPUS
    instances = price_table().instances.by_name
    kind = next((each for each in _VM_TYPES if instances[each].vcpus >= needed), None)
    if kind is None:
        return None
    drawn = _Drawing(region)
    disk = {"volumeSize": 40, "volumeType": "gp3"}
    drawn.add("aws:ec2/instance:Instance", instanceType=kind, monitoring=True, rootBlockDevice=disk)
    drawn.add("aws:ebs/volume:Volume", size=50, type="gp3")
    drawn.add("aws:dlm/lifecyclePolicy:LifecyclePolicy")
    drawn.add("aws:lb/loadBalancer:LoadBalancer")
    drawn.network(nat_gateways=1)
    drawn.several("aws:secretsmanager/secret:Secret", 1)
    drawn.several("aws:cloudwatch/logGroup:LogGroup", 2)
    return Sized("vm", f"1 {kind}", estimate(drawn.plan))


def queue(jobs_per_minute: int, region: str) -> Sized:
    """API hosts, RDS and SQS, and worker hosts of which all but two are spot instances."""
    hosts = _hosts(jobs_per_minute, _WORKER_VCPUS)
    drawn = _Drawing(region)
    drawn.group("api", "t3.medium", 2, disk=40)
    drawn.group("on-demand-workers", _WORKER, FLOOR, disk=40)
    drawn.group("spot-workers", _WORKER, hosts - FLOOR, disk=40, spot=True)
    drawn.add("aws:lb/loadBalancer:LoadBalancer")
    drawn.database("db.t4g.medium", 50)
    drawn.several("aws:sqs/queue:Queue", 2)
    drawn.several("aws:cloudwatch/metricAlarm:MetricAlarm", 3)
    drawn.network(nat_gateways=1)
    drawn.several("aws:kms/key:Key", 1)
    drawn.several("aws:secretsmanager/secret:Secret", 2)
    drawn.several("aws:cloudwatch/logGroup:LogGroup", 5)
    return Sized("queue", _in_words(_WORKER, hosts), estimate(drawn.plan))


def cluster(jobs_per_minute: int, region: str) -> Sized:
    """EKS with the posture of the stack prod, and nodes for sandboxes of which all but two are spot instances."""
    hosts = _hosts(jobs_per_minute, _NODE_VCPUS)
    drawn = _Drawing(region)
    drawn.add("aws:eks/cluster:Cluster")
    drawn.nodes("system", "m7i.xlarge", 3)
    drawn.nodes("untrusted", _NODE, FLOOR)
    drawn.nodes("untrusted-spot", _NODE, hosts - FLOOR, spot=True)
    drawn.database("db.m7g.large", 100)
    drawn.add("aws:efs/fileSystem:FileSystem")
    drawn.add("aws:efs/backupPolicy:BackupPolicy")
    drawn.network(nat_gateways=_ZONES)
    drawn.several("aws:ec2/vpcEndpoint:VpcEndpoint", 13, vpcEndpointType="Interface", subnetIds=["a subnet"] * _ZONES)
    drawn.several("aws:kms/key:Key", 3)
    drawn.several("aws:cloudwatch/logGroup:LogGroup", 4)
    return Sized("cluster", _in_words(_NODE, hosts), estimate(drawn.plan))


ARCHITECTURES: Mapping[str, Callable[[int, str], Sized | None]] = {"vm": vm, "queue": queue, "cluster": cluster}


def sizes(jobs_per_minute: int, region: str) -> Sequence[Sized | None]:
    """Every architecture at one load, in the order of `ARCHITECTURES`."""
    return [draw(jobs_per_minute, region) for draw in ARCHITECTURES.values()]


def _hosts(jobs_per_minute: int, vcpus: int) -> int:
    return max(FLOOR, math.ceil(busy_vcpus(jobs_per_minute) / vcpus))


def _in_words(kind: str, hosts: int) -> str:
    return f"{FLOOR} {kind}" + (f" and {hosts - FLOOR} spot" if hosts > FLOOR else "")


class _Drawing:
    """A plan that no engine made."""

    def __init__(self, region: str) -> None:
        self.plan = Plan(region=region)

    def add(self, kind: str, name: str = "", **inputs: Any) -> None:
        urn = f"{kind}::{len(self.plan.resources)}"
        self.plan.resources[urn] = Planned(kind, name or urn, inputs, urn)

    def several(self, kind: str, count: int, **inputs: Any) -> None:
        for _ in range(count):
            self.add(kind, **inputs)

    def group(self, name: str, kind: str, hosts: int, *, disk: int, spot: bool = False) -> None:
        self._template(name, disk, instanceType=kind)
        size = {"minSize": hosts, "maxSize": hosts}
        if not spot:
            self.add("aws:autoscaling/group:Group", name, launchTemplate={}, **size)
            return
        policy = {
            "launchTemplate": {"overrides": [{"instanceType": kind}]},
            "instancesDistribution": {"onDemandBaseCapacity": 0, "onDemandPercentageAboveBaseCapacity": 0},
        }
        self.add("aws:autoscaling/group:Group", name, mixedInstancesPolicy=policy, **size)

    def nodes(self, name: str, kind: str, hosts: int, *, spot: bool = False) -> None:
        self._template(name, 50)
        self.add(
            "aws:eks/nodeGroup:NodeGroup",
            name,
            instanceTypes=[kind],
            capacityType="SPOT" if spot else "ON_DEMAND",
            scalingConfig={"desiredSize": hosts, "maxSize": hosts},
            labels={} if name == "system" else {"agent-fleet.io/untrusted": "true"},
        )

    def database(self, kind: str, gibibytes: int) -> None:
        self.add(
            "aws:rds/instance:Instance", instanceClass=kind, allocatedStorage=gibibytes, engine="postgres", multiAz=True
        )

    def network(self, *, nat_gateways: int) -> None:
        self.several("aws:ec2/natGateway:NatGateway", nat_gateways)
        self.several("aws:ec2/eip:Eip", nat_gateways)

    def _template(self, name: str, disk: int, **inputs: Any) -> None:
        root = {"ebs": {"volumeSize": disk, "volumeType": "gp3"}}
        monitoring = {"enabled": True}
        self.add(
            "aws:ec2/launchTemplate:LaunchTemplate", name, blockDeviceMappings=[root], monitoring=monitoring, **inputs
        )


def cheapest(sized: Sequence[Sized | None]) -> Sized:
    """The one that costs least at this load."""
    return min((each for each in sized if each is not None), key=lambda each: each.estimate.usd_at_rest)
