"""The requests on SandboxClaims and Sandboxes, in one namespace."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fleet_runtime.sandboxd.agent_sandbox_claim import CLAIMS_GROUP, POD_NAME, SANDBOXES_GROUP, Claim, read_claim
from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.kubernetes_api import KubernetesApi, Object, RequestError
from fleet_runtime.sandboxd.kubernetes_pod import controlling

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class BoundSandbox:
    """A Sandbox, as far as it matters who has it and which pod it is."""

    uid: str
    claim_uid: str | None
    """The UID of what controls it: of its claim, once it is bound."""
    pod_name: str


class AgentSandboxApi:
    """Speaks through the connection of a `KubernetesApi`."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        """Nothing is asked yet."""
        self._api = api
        self._claims = f"/apis/{CLAIMS_GROUP}/namespaces/{namespace}/sandboxclaims"
        self._sandboxes = f"/apis/{SANDBOXES_GROUP}/namespaces/{namespace}/sandboxes"

    async def list_claims(self) -> tuple[list[Object], str]:
        """Return the pool's claims and the version from which to watch; raises BackendError."""
        try:
            return await self._api.list_objects(self._claims)
        except RequestError as error:
            if error.status != 404:
                raise
            raise BackendError(
                f"the cluster does not serve {CLAIMS_GROUP}: install agent-sandbox with its extensions, or set "
                "fleet.platform.agent_sandbox to off"
            ) from error

    def watch_claims(self, version: str) -> AsyncGenerator[tuple[str, Object]]:
        """Yield what happens to the pool's claims, as `KubernetesApi.watch_pods` does for its pods."""
        return self._api.watch_objects(self._claims, version)

    async def create_claim(self, described: Object) -> Claim:
        """Create a claim and return it, or the one that its owner has made already; raises BackendError."""
        try:
            return read_claim(
                await self._api.request("POST", self._claims, content=json.dumps(described).encode(), headers=_JSON)
            )
        except RequestError as error:
            if error.status != 409:
                raise
            # The first attempt had come through, and its answer had not.
            found = read_claim(await self._api.request("GET", f"{self._claims}/{described['metadata']['name']}"))
            if found.owner != read_claim({**described, "metadata": {**described["metadata"], "uid": ""}}).owner:
                raise
            return found

    async def delete_claim(self, name: str) -> None:
        """Delete a claim, and with it its Sandbox and its pod; one that is gone is as good as deleted."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        try:
            await self._api.request(
                "DELETE", f"{self._claims}/{name}", content=json.dumps(options).encode(), headers=_JSON
            )
        except RequestError as error:
            if error.status != 404:
                raise

    async def get_sandbox(self, name: str) -> BoundSandbox:
        """Return a Sandbox; raises RequestError (404) or BackendError."""
        metadata = (await self._api.request("GET", f"{self._sandboxes}/{name}"))["metadata"]
        return BoundSandbox(
            uid=metadata["uid"],
            claim_uid=(controlling(metadata) or {}).get("uid"),
            pod_name=(metadata.get("annotations") or {}).get(POD_NAME) or metadata["name"],
        )
