"""What instances cost: single ones, groups of them, and their disks."""

from dataclasses import dataclass

from engine.cost.charges import LATER, Charge, Verdict, WorkerHosts, charged, not_estimated, steady
from engine.cost.planned import Plan, Planned
from engine.cost.price_table import Instance, RegionalPrices

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_UNTRUSTED = "agent-fleet.io/untrusted"
_GP3_INCLUDED_IOPS = 3_000
_GP3_INCLUDED_MEBIBYTES_SECOND = 125


@dataclass(frozen=True)
class _Size:
    """How many instances a group has, of which so many on demand; the rest are spot instances."""

    total: int
    on_demand: int

    @property
    def spot(self) -> int:
        return self.total - self.on_demand


def instance(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:ec2/instance:Instance`, which is on all the time."""
    template = _template(planned, plan)
    kind = planned.text("instanceType") or (template.text("instanceType") if template else None)
    if kind is None:
        return not_estimated(f"its type {LATER}" if planned.unknown("instanceType") else "it has no type")
    found = prices.instance(kind)
    if found is None:
        return not_estimated(f"the price table has no {kind}")
    charges = [steady(f"{kind}, on demand", found.usd * prices.hours)]
    disks = [*planned.parts("rootBlockDevice"), *planned.parts("ebsBlockDevices")]
    charges += _disks(disks, prices) or (_template_disks(template, prices) if template else [])
    if planned.truth("monitoring") or (template and template.truth("monitoring", "enabled")):
        charges.append(steady("detailed monitoring of an instance", prices.unit("detailed_monitoring_month")))
    if planned.truth("associatePublicIpAddress"):
        charges.append(steady("public address", prices.monthly("public_address_hour")))
    return Verdict(tuple(charges), (_hosts(planned.name, kind, found, found.usd, 1, 1, spot=False),))


def node_group(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:eks/nodeGroup:NodeGroup`. At rest it has what it was made with: EKS itself never makes it smaller."""
    desired, most = planned.number("scalingConfig", "desiredSize"), planned.number("scalingConfig", "maxSize")
    if desired is None or most is None:
        return not_estimated(f"its size {LATER}")
    if planned.unknown("capacityType"):
        return not_estimated(f"whether its nodes are spot instances {LATER}")
    spot = planned.text("capacityType") == "SPOT"
    sizes = [_Size(int(count), 0 if spot else int(count)) for count in (desired, most)]
    kinds = [kind for kind in planned.sequence("instanceTypes") or () if isinstance(kind, str)]
    runs_jobs = planned.text("labels", _UNTRUSTED) == "true"
    note = "groups of EKS nodes stay as they are made until Karpenter or another autoscaler moves them"
    return _group(planned, plan, prices, kinds, sizes, runs_jobs=runs_jobs, note=note)


def autoscaling_group(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:autoscaling/group:Group`, on demand or mixed. At rest it has its minimum."""
    least, most = planned.number("minSize"), planned.number("maxSize")
    if least is None or most is None:
        return not_estimated(f"its size {LATER}")
    if planned.unknown("mixedInstancesPolicy"):
        return not_estimated(f"whether its hosts are spot instances {LATER}")
    mixed = planned.parts("mixedInstancesPolicy")
    kinds: list[str] = []
    sizes = [_Size(int(count), int(count)) for count in (least, most)]
    if mixed:
        overrides = mixed[0].parts("launchTemplate", "overrides")
        kinds = [kind for each in overrides if (kind := each.text("instanceType")) is not None]
        sizes = [_mixed_size(mixed[0], size.total) for size in sizes]
    if not kinds and (template := _template(planned, plan)) is not None:
        kinds = [kind] if (kind := template.text("instanceType")) is not None else []
    return _group(planned, plan, prices, kinds, sizes, runs_jobs=_of_workers(planned), note="")


def launch_template(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """Nothing by itself: what it launches is counted with the group."""
    del planned, plan, prices
    return Verdict()


def volume(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:ebs/volume:Volume`."""
    del plan
    charges = _disks([Planned(planned.type, planned.name, {**planned.inputs, "volumeSize": _size(planned)})], prices)
    return charged(*charges) if charges else not_estimated(f"its size {LATER}")


def snapshots(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:dlm/lifecyclePolicy:LifecyclePolicy`: what the snapshots of the stack's own volumes take."""
    del planned
    size = sum(each.number("size") or 0 for each in plan.of_type("aws:ebs/volume:Volume"))
    if not size:
        return not_estimated("it takes snapshots of disks that are no volumes of the stack")
    stored = size * prices.assumed("snapshot_share")
    return charged(steady("snapshots of volumes", stored * prices.unit("snapshot_gibibyte_month")))


def _of_workers(planned: Planned) -> bool:
    tags = {each.text("key"): each.text("value") for each in planned.parts("tags")}
    return tags.get("component") == "workers" or "worker" in planned.name


def _size(planned: Planned) -> float | None:
    return planned.number("size")


def _mixed_size(policy: Planned, total: int) -> _Size:
    # AWS's own defaults: everything on demand.
    base = int(policy.number("instancesDistribution", "onDemandBaseCapacity") or 0)
    share = policy.number("instancesDistribution", "onDemandPercentageAboveBaseCapacity")
    above = max(0, total - base)
    # AWS rounds up in favour of on demand.
    return _Size(total, min(total, base) + -(-int(above * (100 if share is None else share)) // 100))


def _group(
    planned: Planned,
    plan: Plan,
    prices: RegionalPrices,
    kinds: list[str],
    sizes: list[_Size],
    *,
    runs_jobs: bool,
    note: str,
) -> Verdict:
    if not kinds:
        return not_estimated(f"its instance types {LATER}")
    found = {kind: each for kind in kinds if (each := prices.instance(kind)) is not None}
    missing = [kind for kind in kinds if kind not in found]
    if not found:
        return not_estimated(f"the price table has no {', '.join(missing)}")
    rest, most = sizes
    first, dearest = next(iter(found)), max(found, key=lambda kind: found[kind].usd)
    others = len(found) - 1
    name = f"{first} or {others} other {'type' if others == 1 else 'types'}" if others else first
    charges: list[Charge] = []
    workers: list[WorkerHosts] = []
    for spot in (False, True):
        at_rest, at_most = (rest.spot, most.spot) if spot else (rest.on_demand, most.on_demand)
        if not at_most:
            continue
        share = prices.assumed("spot_share_of_on_demand") if spot else 1.0
        hourly = found[first].usd * share
        what = f"{name}, {'spot' if spot else 'on demand'}"
        ceiling = found[dearest].usd * share * prices.hours * at_most
        charges.append(Charge(what, hourly * prices.hours * at_rest, ceiling, at_rest, at_most))
        if runs_jobs:
            workers.append(_hosts(planned.name, first, found[first], hourly, at_rest, at_most, spot=spot))
    template = _template(planned, plan)
    notes = {note} if note else set[str]()
    if missing:
        notes.add(f"{planned.name} has none of {', '.join(missing)}, which the price table does not have")
    disks = _template_disks(template, prices) if template else []
    if not disks:
        notes.add(f"the root disks of {planned.name}, as large as their image makes them, are not counted")
    charges += [_times(each, rest.total, most.total) for each in disks]
    if template and template.truth("monitoring", "enabled"):
        monitoring = steady("detailed monitoring of an instance", prices.unit("detailed_monitoring_month"))
        charges.append(_times(monitoring, rest.total, most.total))
    for pool in planned.parts("warmPool"):
        waiting = int(pool.number("minSize") or 0)
        notes.add(f"the instances of {planned.name} that wait in its warm pool are stopped, which leaves their disks")
        charges += [_times(each, waiting, waiting) for each in disks if waiting]
    return Verdict(tuple(charges), tuple(workers), notes=frozenset(notes))


def _hosts(
    name: str, kind: str, found: Instance, hourly: float, at_rest: int, at_most: int, *, spot: bool
) -> WorkerHosts:
    return WorkerHosts(name, kind, spot, hourly, found.vcpus, found.memory_gibibytes, at_rest, at_most)


def _times(charge: Charge, at_rest: int, at_most: int) -> Charge:
    return Charge(charge.what, charge.usd_at_rest * at_rest, charge.usd_at_most * at_most, at_rest, at_most)


def _template(planned: Planned, plan: Plan) -> Planned | None:
    """The launch template of a group. Its id is unknown in a preview, so that name and parent have to tell it."""
    templates = plan.of_type(LAUNCH_TEMPLATE)
    named = planned.text("launchTemplate", "name")
    siblings = [each for each in templates if each.parent == planned.parent]
    for chosen in (
        [each for each in templates if named and each.text("name") == named],
        [each for each in siblings if each.name == planned.name],
        siblings if len(siblings) == 1 and _has_template(planned) else [],
        [each for each in templates if each.name == planned.name],
    ):
        if len(chosen) == 1:
            return chosen[0]
    return None


def _has_template(planned: Planned) -> bool:
    return "launchTemplate" in planned.inputs or "mixedInstancesPolicy" in planned.inputs


def _template_disks(template: Planned, prices: RegionalPrices) -> list[Charge]:
    return _disks([disk for each in template.parts("blockDeviceMappings") for disk in each.parts("ebs")], prices)


def _disks(disks: list[Planned], prices: RegionalPrices) -> list[Charge]:
    charges: list[Charge] = []
    for disk in disks:
        size = disk.number("volumeSize")
        kind = disk.text("volumeType") or disk.text("type") or "gp3"
        price = f"volume_gibibyte_month_{kind}"
        if size is None or not prices.has(price):
            continue
        usd = size * prices.unit(price)
        if kind == "gp3":
            iops, speed = disk.number("iops") or 0, disk.number("throughput") or 0
            usd += max(0, iops - _GP3_INCLUDED_IOPS) * prices.unit("volume_iops_month_gp3")
            above = max(0, speed - _GP3_INCLUDED_MEBIBYTES_SECOND)
            usd += above * prices.unit("volume_mebibyte_second_month_gp3")
        charges.append(steady(f"disk of {size:g} GiB, {kind}", usd))
    return charges
