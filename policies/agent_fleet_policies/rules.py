"""All rules, in the order of their numbers."""

from agent_fleet_policies import (
    compute,
    eks,
    eks_access,
    iam,
    kubernetes_namespaces,
    kubernetes_others,
    kubernetes_workloads,
    messaging,
    registry,
    security_groups,
    storage,
)
from agent_fleet_policies.rule import Rule

MODULES = (
    registry,
    eks,
    eks_access,
    compute,
    security_groups,
    storage,
    messaging,
    iam,
    kubernetes_workloads,
    kubernetes_namespaces,
    kubernetes_others,
)
RULES: tuple[Rule, ...] = tuple(
    sorted((rule for module in MODULES for rule in module.RULES), key=lambda rule: rule.number)
)
