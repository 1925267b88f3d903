"""All cases, and the rules by number."""

from agent_fleet_policies.rules import RULES
from cases_of_aws import CASES as AWS
from cases_of_clusters import CASES as CLUSTERS
from cases_of_hosts import CASES as HOSTS
from cases_of_identities import CASES as IDENTITIES
from cases_of_kubernetes import CASES as KUBERNETES
from cases_of_pods import CASES as PODS
from policy_case import Case

CASES: tuple[Case, ...] = tuple(
    sorted((*AWS, *CLUSTERS, *HOSTS, *IDENTITIES, *KUBERNETES, *PODS), key=lambda case: case.rule)
)
BY_NUMBER = {rule.number: rule for rule in RULES}
