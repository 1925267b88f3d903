"""One sandbox's access: refused before a job is bound to it, counted while there is one, gone with the sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet_runtime.egress.budget import Budgets
from fleet_runtime.egress.config import Credential, Policy
from fleet_runtime.egress.domains import DomainList
from fleet_runtime.egress.metrics import Metrics


@dataclass(frozen=True)
class Job:
    """Whose traffic it is."""

    job_id: str
    tenant: str


class BudgetSpent(Exception):  # noqa: N818 - it is a verdict
    """The job or its tenant has had its share; the text is for the job."""


class TemplateRules:
    """What holds for every sandbox of one template."""

    def __init__(self, name: str, policy: Policy, credentials: Mapping[str, Credential]) -> None:
        """Take the policy as it is configured."""
        self.name = name
        self.policy = policy
        self.domains = DomainList(policy.domains)
        self.credentials = dict(credentials)


class Access:
    """What one sandbox may do and has done."""

    def __init__(self, rules: TemplateRules, budgets: Budgets, metrics: Metrics, job: Job | None = None) -> None:
        """Begin with the job that the sandbox has by now, if any."""
        self.rules = rules
        self.job = job
        self.open_connections = 0
        self.logged = 0
        self._budgets = budgets
        self._metrics = metrics
        self._bytes = 0

    def begin_request(self) -> None:
        """Count a request of the job; raises BudgetSpent."""
        if self.job is not None and (why := self._budgets.request(self.job.tenant)) is not None:
            raise BudgetSpent(why)

    def passed(self, count: int, direction: str) -> None:
        """Count bytes that were `sent` or `received`; raises BudgetSpent."""
        self._metrics.bytes.labels(self.rules.name, direction).inc(count)
        self._bytes += count
        if self.job is not None and (why := self._budgets.add(self.job.tenant, count)) is not None:
            raise BudgetSpent(why)
        if self._bytes > self.rules.policy.job_bytes:
            raise BudgetSpent(f"a job may send and receive {self.rules.policy.job_bytes} bytes")
