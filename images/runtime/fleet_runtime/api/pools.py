"""Which pool a job goes to: by the tenant of its key and its agent type, which its header or its body names."""

import hashlib
from collections.abc import Mapping
from typing import Any

from fleet_runtime.api.agent_jobs import known_agents
from fleet_runtime.api.problems import invalid
from fleet_runtime.config import ApiSettings
from fleet_runtime.pool_settings import Pool

HEADER = "agent-type"
_SHOWN_CHARACTERS = 63


def default_templates(settings: ApiSettings) -> dict[str, str]:
    """Return by tenant the template of its jobs that name no agent type; tenants that must name one have none."""
    tenants = [pool.tenant for pool in settings.pools]
    return {pool.tenant: pool.template for pool in settings.pools if pool.default or tenants.count(pool.tenant) == 1}


class Routes:
    """The pools of this API, or its agent types. Without either, every job goes to the one template."""

    def __init__(self, settings: ApiSettings) -> None:
        """Sort the pools by tenant."""
        self._template = settings.template
        self._agent_type = settings.agent_type
        self._defaults = default_templates(settings)
        self._pools: dict[str, dict[str, Pool]] = {}
        for pool in settings.pools:
            self._pools.setdefault(pool.tenant, {})[pool.agent_type] = pool
        self._agents = {agent.agent_type: agent for agent in settings.agents}

    def template(self, tenant: str, agent_type: str | None) -> str:
        """Return the template that a job with this header goes to; raises Problem (422) that names what is allowed."""
        if self._agents and agent_type is not None:
            own = self._own_agents(tenant)
            if agent_type not in own:
                raise _refused(agent_type, f"allowed are {', '.join(sorted(own)) or 'none'}")
            return own[agent_type]
        if not self._pools:
            if self._agent_type is not None and agent_type not in (None, self._agent_type):
                raise _refused(agent_type, f"this is the API of agent type {self._agent_type!r}; allowed is that")
            return self._template
        own = self._pools.get(tenant, {})
        if not own:
            raise _refused(agent_type, f"tenant {tenant!r} has no pool in this fleet; add one to the fleet's settings")
        if agent_type is None:
            template = self._defaults.get(tenant)
        else:
            template = own[agent_type].template if agent_type in own else None
        if template is None:
            raise _refused(agent_type, f"tenant {tenant!r} has pools for {', '.join(sorted(own))}; send one of them")
        return template

    def of_job(self, tenant: str, header: str | None, agent: str | None) -> str:
        """Return the template of a job whose body names an agent type or none; raises Problem (422).

        That this API knows the agent type was checked with the rest of the body.
        """
        if agent is None:
            return self.template(tenant, header)
        if header is not None and header != agent:
            message = (
                f"{agent!r} was given, and the header {HEADER} says {header!r}; leave the header out, or say the same"
            )
            raise invalid([("agent", message)])
        own = self._pools.get(tenant, {})
        if self._pools and agent not in own:
            allowed = (
                f"has pools for {', '.join(sorted(own))}; send one of them" if own else "has no pool in this fleet"
            )
            raise invalid([("agent", f"{agent!r} was given: tenant {tenant!r} {allowed}")])
        if agent in self._agents and agent not in (agents := self._own_agents(tenant)):
            allowed = ", ".join(sorted(agents)) or "none"
            raise invalid(
                [("agent", f"{agent!r} was given: tenant {tenant!r} does not have it; allowed are {allowed}")]
            )
        return own[agent].template if self._pools else self._own_agents(tenant).get(agent, self._template)

    def _own_agents(self, tenant: str) -> dict[str, str]:
        """Return the templates of the agent types that a tenant has."""
        return {name: agent.template for name, agent in self._agents.items() if agent.tenant in (None, tenant)}

    def request_sha256(self, body_sha256: bytes, agent_type: str | None) -> bytes:
        """Hash a request's body with the pool that it was sent to, as given: a changed default is no other request.

        Where no pool was named, and where there are none, the body's hash stands as it is.
        """
        given = (agent_type if self._pools or self._agents else None) or self._agent_type
        return body_sha256 if given is None else hashlib.sha256(body_sha256 + given.encode()).digest()


def header_parameter(settings: ApiSettings) -> Mapping[str, Any] | None:
    """Return the header as the OpenAPI document has it; None where it means nothing."""
    allowed = list(known_agents(settings))
    if not allowed:
        return None
    return {
        "name": HEADER,
        "in": "header",
        "required": False,
        "schema": {"type": "string", "enum": allowed},
        "description": "the pool to run in: one of the tenant's own agent types; left out, the tenant's default",
    }


def _refused(given: str | None, message: str) -> Exception:
    was = "is missing" if given is None else f"{given[:_SHOWN_CHARACTERS]!r} was given"
    return invalid([(HEADER, f"{was}: {message}")])
