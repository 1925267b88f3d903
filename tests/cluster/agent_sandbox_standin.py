"""A stand-in for agent-sandbox's controller: upstream's program cannot be had on machines that reach packages only.

It does what upstream's v0.5.6 does to the objects that a pool and its workers use, as read in its sources: the
SandboxWarmPool's Sandboxes, each Sandbox's pod, and the binding of a SandboxClaim to one, warm or cold. It leaves out
what they do not use: Services, volumes, suspension, variables, its own network policies. It proves that our side
holds to that behaviour, not that upstream's program has it.
"""

import asyncio
import contextlib
import json
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import httpx
from agent_sandbox_conditions import Condition, claim_conditions, conditions_of, sandbox_conditions, with_times
from sandbox_pods import Cluster

EXTENSIONS, CORE = "extensions.agents.x-k8s.io/v1beta1", "agents.x-k8s.io/v1beta1"
WARM_POOL, TEMPLATE_HASH = "agents.x-k8s.io/warm-pool-sandbox", "agents.x-k8s.io/sandbox-template-ref-hash"
NAME_HASH, CLAIM_UID = "agents.x-k8s.io/sandbox-name-hash", "agents.x-k8s.io/claim-uid"
POD_NAME, ASSIGNED = "agents.x-k8s.io/pod-name", "agents.x-k8s.io/sandbox-name"
_GRACE_SECONDS = 2.0
"""So long a young claim waits for a warm Sandbox whose pod has no address yet."""
_PASS_SECONDS = 0.5

Object = dict[str, Any]


class Controller:
    """Acts on one namespace, in a thread of its own, from `start` to `stop`."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        """Nothing is asked yet."""
        self._cluster = cluster
        self._namespace = namespace
        self._proxy: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to act."""
        command = [self._cluster.program, f"--kubeconfig={self._cluster.kubeconfig}", "proxy", "--port=0"]
        self._proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._proxy.stdout is not None
        address = self._proxy.stdout.readline().rpartition(" ")[2].strip()
        self._stopping.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(f"http://{address}")), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Act no more; what there is stays."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(30)
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait(10)

    async def _run(self, address: str) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=10, trust_env=False) as client:
            reconciler = _Reconciler(client, self._namespace)
            watches = [asyncio.create_task(reconciler.watch(path)) for path in reconciler.watched]
            while not self._stopping.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    await reconciler.reconcile()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PASS_SECONDS):
                        await reconciler.woken.wait()
                reconciler.woken.clear()
            for task in watches:
                task.cancel()
            await asyncio.gather(*watches, return_exceptions=True)


class _Reconciler:
    """One pass after another: pools, then Sandboxes, then claims."""

    def __init__(self, client: httpx.AsyncClient, namespace: str) -> None:
        self._client = client
        self._extensions = f"/apis/{EXTENSIONS}/namespaces/{namespace}"
        self._sandboxes = f"/apis/{CORE}/namespaces/{namespace}/sandboxes"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self.watched = (
            *(f"{self._extensions}/{kind}" for kind in ("sandboxclaims", "sandboxwarmpools", "sandboxtemplates")),
            self._sandboxes,
            self._pods,
        )
        self.woken = asyncio.Event()

    async def watch(self, path: str) -> None:
        """Wake for whatever happens there."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                async with self._client.stream("GET", path, params={"watch": "1"}, timeout=60) as events:
                    async for _ in events.aiter_lines():
                        self.woken.set()
            await asyncio.sleep(_PASS_SECONDS)

    async def reconcile(self) -> None:
        """Look at everything once and do what is due."""
        pools, templates = await self._named("sandboxwarmpools"), await self._named("sandboxtemplates")
        for pool in pools.values():
            await self._reconcile_pool(pool, templates)
        for sandbox in await self._list(self._sandboxes):
            await self._reconcile_sandbox(sandbox)
        for claim in await self._list(f"{self._extensions}/sandboxclaims"):
            await self._reconcile_claim(claim, pools, templates)

    async def _reconcile_pool(self, pool: Object, templates: Mapping[str, Object]) -> None:
        template = templates.get(pool["spec"]["sandboxTemplateRef"]["name"])
        if template is None or "deletionTimestamp" in pool["metadata"]:
            return
        members = [one for one in await self._list(self._sandboxes) if _controls(pool, one)]
        for one in members:
            if one["spec"]["podTemplate"]["spec"] != template["spec"]["podTemplate"]["spec"]:
                await self._client.delete(f"{self._sandboxes}/{one['metadata']['name']}")
        missing = pool["spec"]["replicas"] - len(members)
        labels = {WARM_POOL: name_hash(pool["metadata"]["name"]), TEMPLATE_HASH: name_hash(_name(template))}
        for _ in range(missing):
            await self._create_sandbox({"generateName": f"{_name(pool)}-", "labels": labels}, template, pool)
        for one in sorted(members, key=_name)[: max(-missing, 0)]:
            await self._client.delete(f"{self._sandboxes}/{_name(one)}")

    async def _reconcile_sandbox(self, sandbox: Object) -> None:
        if "deletionTimestamp" in sandbox["metadata"]:
            return
        path, refused = f"{self._pods}/{_name(sandbox)}", ""
        answer = await self._client.get(path)
        pod = answer.json() if answer.status_code == 200 else None
        wanted = sandbox["spec"]["podTemplate"].get("metadata", {})
        labels = {key: value for key, value in wanted.get("labels", {}).items() if not key.startswith("agents.x-")}
        labels[NAME_HASH] = name_hash(_name(sandbox))
        metadata = {"labels": labels, "annotations": wanted.get("annotations", {})}
        if pod is None:
            described = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": _name(sandbox), "ownerReferences": [_owner(sandbox)], **metadata},
                "spec": sandbox["spec"]["podTemplate"]["spec"],
            }
            made = await self._client.post(self._pods, json=described)
            pod = made.json() if made.is_success else None
            refused = "" if made.is_success else str(made.json()["message"])
        elif any(not metadata[part].items() <= pod["metadata"].get(part, {}).items() for part in metadata):
            await self._merge(path, {"metadata": metadata})
        if pod is not None and sandbox["metadata"].get("annotations", {}).get(POD_NAME) != _name(pod):
            await self._merge(
                f"{self._sandboxes}/{_name(sandbox)}", {"metadata": {"annotations": {POD_NAME: _name(pod)}}}
            )
        addresses = [] if pod is None else [each["ip"] for each in pod.get("status", {}).get("podIPs", ())]
        await self._tell(
            f"{self._sandboxes}/{_name(sandbox)}",
            sandbox,
            sandbox_conditions(pod, refused),
            {"podIPs": addresses, "selector": f"{NAME_HASH}={labels[NAME_HASH]}"},
        )

    async def _reconcile_claim(
        self, claim: Object, pools: Mapping[str, Object], templates: Mapping[str, Object]
    ) -> None:
        path = f"{self._extensions}/sandboxclaims/{_name(claim)}"
        if "deletionTimestamp" in claim["metadata"]:
            return
        finished = conditions_of(claim).get("Finished")
        kept = claim["spec"].get("lifecycle", {}).get("ttlSecondsAfterFinished")
        if finished is not None and kept is not None and _age(finished["lastTransitionTime"]) > kept:
            await self._client.delete(path)
            return
        pool = pools.get(claim["spec"]["warmPoolRef"]["name"])
        template = None if pool is None else templates.get(pool["spec"]["sandboxTemplateRef"]["name"])
        sandboxes = {_name(one): one for one in await self._list(self._sandboxes)}
        sandbox = next((one for one in sandboxes.values() if _controls(claim, one)), None)
        if sandbox is None and pool is not None and template is not None:
            members = [one for one in sandboxes.values() if _controls(pool, one)]
            addressed = [one for one in members if one.get("status", {}).get("podIPs")]
            addressed.sort(key=lambda one: conditions_of(one).get("Ready", {}).get("status") != "True")
            if addressed:
                sandbox = await self._adopt(path, claim, addressed[0], template)
            elif members and _age(claim["metadata"]["creationTimestamp"]) < _GRACE_SECONDS:
                return
            else:
                sandbox = await self._create_sandbox({"name": _name(claim)}, template, claim)
        status: Object = {"sandbox": {"name": _name(sandbox)}} if sandbox is not None else {}
        missing = "WarmPoolNotFound" if pool is None else "TemplateNotFound" if template is None else ""
        await self._tell(path, claim, claim_conditions(sandbox, missing), status)

    async def _adopt(self, path: str, claim: Object, sandbox: Object, template: Object) -> Object | None:
        """Make a pool's Sandbox the claim's, if neither has changed since they were read."""
        version = {"resourceVersion": claim["metadata"]["resourceVersion"]}
        noted = await self._merge(path, {"metadata": {**version, "annotations": {ASSIGNED: _name(sandbox)}}})
        if not noted.is_success:
            return None
        claim["metadata"]["resourceVersion"] = noted.json()["metadata"]["resourceVersion"]
        wanted = template["spec"]["podTemplate"].get("metadata", {})
        given = claim["spec"].get("additionalPodMetadata", {})
        merged = {part: {**wanted.get(part, {}), **given.get(part, {})} for part in ("labels", "annotations")}
        adopted = await self._merge(
            f"{self._sandboxes}/{_name(sandbox)}",
            {
                "metadata": {
                    "resourceVersion": sandbox["metadata"]["resourceVersion"],
                    "ownerReferences": [_owner(claim)],
                    "labels": {WARM_POOL: None, CLAIM_UID: claim["metadata"]["uid"]},
                },
                "spec": {"podTemplate": {"metadata": merged}},
            },
        )
        return adopted.json() if adopted.is_success else None

    async def _create_sandbox(self, metadata: Object, template: Object, owner: Object) -> Object | None:
        blueprint = json.loads(json.dumps(template["spec"]["podTemplate"]))
        if owner["kind"] == "SandboxClaim":
            given = owner["spec"].get("additionalPodMetadata", {})
            found = blueprint.setdefault("metadata", {})
            for part in ("labels", "annotations"):
                found[part] = {**found.get(part, {}), **given.get(part, {})}
        described = {
            "apiVersion": CORE,
            "kind": "Sandbox",
            "metadata": {**metadata, "ownerReferences": [_owner(owner)]},
            "spec": {"podTemplate": blueprint},
        }
        made = await self._client.post(self._sandboxes, json=described)
        return made.json() if made.is_success else None

    async def _tell(self, path: str, one: Object, conditions: list[Condition], status: Object) -> None:
        """Write a status that says something new."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = {**status, "conditions": with_times(conditions, one, now)}
        found = {key: one.get("status", {}).get(key) for key in wanted}
        if found != wanted:
            await self._merge(f"{path}/status", {"status": wanted})

    async def _merge(self, path: str, patch: Object) -> httpx.Response:
        headers = {"Content-Type": "application/merge-patch+json"}
        return await self._client.patch(path, content=json.dumps(patch), headers=headers)

    async def _named(self, kind: str) -> dict[str, Object]:
        return {_name(one): one for one in await self._list(f"{self._extensions}/{kind}")}

    async def _list(self, path: str) -> list[Object]:
        answer = await self._client.get(path)
        answer.raise_for_status()
        found = answer.json()
        kind = str(found["kind"]).removesuffix("List")
        return [{"apiVersion": found["apiVersion"], "kind": kind, **cast(Object, one)} for one in found["items"]]


def name_hash(name: str) -> str:
    """Upstream's NameHash: FNV-1a of 32 bits."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 % (1 << 32)
    return f"{value:08x}"


def _name(one: Object) -> str:
    return one["metadata"]["name"]


def _owner(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": _name(owner),
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _controls(owner: Object, one: Object) -> bool:
    references = one["metadata"].get("ownerReferences", ())
    alive = "deletionTimestamp" not in one["metadata"]
    return alive and any(each["uid"] == owner["metadata"]["uid"] for each in references)


def _age(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
