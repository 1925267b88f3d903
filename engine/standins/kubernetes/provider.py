"""The kubernetes stand-in: what the engine asks of it, for objects of every kind."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from engine.standins import sdk_types
from engine.standins.kubernetes import annotations, changes, checking, helm_release, manifests, settings
from engine.standins.kubernetes.api import ApiError, ApiServer, UnreachableError
from engine.standins.kubernetes.applying import Applied, Applier, Wanted
from engine.standins.kubernetes.drift import drifted
from engine.standins.kubernetes.kinds import built_in, guessed, token_kind
from engine.standins.kubernetes.kubeconfig import KubeconfigError, endpoint
from engine.standins.kubernetes.objects import (
    described,
    foretold,
    identifier,
    marked,
    normalised,
    outputs,
    parse_identifier,
    to_object,
    to_tree,
)
from engine.standins.kubernetes.removing import remove
from engine.standins.kubernetes.waiting import NotReadyError, until_ready
from engine.standins.standin import Call, Created, HalfDoneError, Judgement, OperationError, StandIn
from engine.standins.type_check import Failure
from engine.standins.values import UNKNOWN, has_unknown, reveal, secret_texts


class KubernetesStandIn(StandIn):
    """Acts on one API server."""

    package = "kubernetes"
    notice = (
        "kubernetes: this is agent-fleet's stand-in for the official provider. "
        "It really creates, changes and deletes in the cluster, by server-side apply."
    )

    def __init__(self) -> None:
        """The cluster is not contacted before an operation needs it."""
        super().__init__()
        self._settings = settings.Settings()
        self._server: ApiServer | None = None
        self._no_server = ""
        self._namespace = ""
        self._stopping = threading.Event()
        self._told = threading.Event()
        self._recorded: dict[str, set[str]] = {}
        self._created: set[str] = set()

    def check_settings(self, config: Mapping[str, Any]) -> list[Failure]:
        """What is wrong with the provider's settings."""
        return settings.failures(config)

    def diff_settings(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """The settings that changed, and those that replace everything."""
        return settings.replacing(old, new)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the settings, and find out from the kubeconfig which API server is meant."""
        super().configure(config)
        self._settings = settings.Settings.read(config)
        self._namespace = self._settings.namespace
        if not self._settings.known:
            self._no_server = "its kubeconfig is known only after the update"
            return
        try:
            found = endpoint(self._settings.kubeconfig, self._settings.context, self._settings.cluster)
        except KubeconfigError as error:
            self._no_server = f"kubeconfig: {error}"
            return
        self._namespace = self._namespace or found.namespace or "default"
        self._server = ApiServer(found, self._stopping.is_set)

    def stop(self) -> None:
        """End waiting and trying again."""
        self._stopping.set()

    def check(self, call: Call, old: Mapping[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Check the types, and fill in name and namespace."""
        if self._settings.skip_update_unreachable and old and self._unreachable():
            call.log.warning("Cluster is unreachable but skipUpdateUnreachable is set to true, skipping...", call.urn)
            return dict(old), []
        if helm_release.is_release(call.token):
            return super().check(call, old, new)
        _, kind, patch = token_kind(call.token)
        if kind.endswith("List") and sdk_types.resource_type(call.token) is not None:
            raise OperationError(
                "List resources exist for compatibility with YAML manifests and Helm charts, and cannot be created "
                "directly. Use the underlying resource type instead."
            )
        given = {key: value for key, value in new.items() if not key.startswith("__")}
        failures = checking.type_failures(call, given)
        if failures:
            return given, failures
        tree = checking.named(call, old, checking.completed(reveal(given), call.token), patch=patch)
        return marked(self._settled(normalised(tree)), given), []

    def diff(
        self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Judgement:
        """What changes, and what of that replaces the object."""
        if helm_release.is_release(call.token):
            return super().diff(call, inputs, state, new)
        self._note(call, state)
        patch = token_kind(call.token)[2]
        return changes.judge(self.table, call, inputs, new, self._settings.mutable, patch=patch)

    def preview(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the API server says of a dry run; the plan alone where it cannot be asked."""
        if not helm_release.is_release(call.token) and not has_unknown(inputs) and self._answers(call):
            wanted = self._wanted(call, inputs, state or {})
            replaces = state is None and call.urn in self._recorded
            with_server = self._applier(call)
            with _speaking(described(wanted.thing), inputs):
                found = with_server.foretell(wanted, call.ignored, exists=state is not None, replaces=replaces)
            if found is not None:
                return foretold(found.live, inputs, wanted.manager, exists=state is not None)
        return self._planned(call, inputs, state)

    def create(self, call: Call, inputs: Mapping[str, Any]) -> Created:
        """Create the object, and wait until it is ready."""
        helm_release.refuse(call.token)
        self._require()
        wanted = self._wanted(call, inputs, {})
        with_server = self._applier(call)
        with _speaking(described(wanted.thing), inputs):
            applied = with_server.create(wanted, frozenset(self._recorded.get(call.urn, ())))
        self._created.add(str(applied.live["metadata"]["uid"]))
        live = self._ready(call, wanted, applied, inputs, {})
        return Created(identifier(live), outputs(live, inputs, wanted.manager))

    def read(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> Created:
        """The object as it is now, and what of the inputs moved meanwhile."""
        if helm_release.is_release(call.token):
            return Created(call.resource_id, state, inputs)
        if (unreachable := self._unreachable()) and (self._settings.delete_unreachable):
            call.log.warning(f"configured Kubernetes cluster is unreachable: {unreachable}", call.urn)
            return Created("", {})
        if unreachable and self._settings.skip_update_unreachable:
            return Created(call.resource_id, state, inputs)
        server = self._require()
        before, given = to_object(state), to_object(inputs)
        api_version, name_of_kind, _ = token_kind(call.token)
        api_version = str(given.get("apiVersion") or before.get("apiVersion") or api_version)
        kind = server.kind(api_version, str(given.get("kind") or before.get("kind") or name_of_kind))
        if kind is None:
            return Created("", {})
        namespace, name = parse_identifier(call.resource_id)
        with _speaking(f"{kind.name} {call.resource_id}", inputs):
            live = server.get(kind.path(namespace or "default", name))
        if live is None:
            return Created("", {})
        manager = annotations.field_manager(given, state, call.urn)
        if not given:
            imported = normalised({key: value for key, value in live.items() if key != "status"})
            fresh = marked(to_tree(imported), {})
        else:
            fresh = marked(to_tree(drifted(given, before, live)), inputs)
        return Created(call.resource_id, outputs(live, fresh, manager, state), fresh)

    def update(
        self, call: Call, old: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Change the object in place, and wait until it is ready."""
        del old
        helm_release.refuse(call.token)
        if self._settings.skip_update_unreachable and self._unreachable():
            return state
        self._require()
        self._note(call, state)
        wanted = self._wanted(call, new, state)
        with_server = self._applier(call)
        with _speaking(described(wanted.thing), new):
            applied = with_server.update(wanted, reveal(state), call.ignored)
        live = self._ready(call, wanted, applied, new, state)
        return outputs(live, new, wanted.manager, state)

    def delete(self, call: Call, state: Mapping[str, Any]) -> None:
        """Delete the object, and wait until it is gone."""
        if helm_release.is_release(call.token):
            helm_release.refuse(call.token)
        if (unreachable := self._unreachable()) and self._settings.delete_unreachable:
            call.log.warning(f"configured Kubernetes cluster is unreachable: {unreachable}", call.urn)
            return
        server = self._require()
        if str((state.get("metadata") or {}).get("uid")) in self._created:
            # A forced replacement under a fixed name found its own object: deleting the old one would delete the new.
            call.log.warning("The object was replaced by itself, so it is not deleted.", call.urn)
            return
        with _speaking(call.resource_id, state):
            remove(server, call, state, patch=token_kind(call.token)[2])

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Decode manifests."""
        plain = reveal(arguments)
        if token == "kubernetes:yaml:decode":  # noqa: S105 - a function's name
            return {"result": manifests.decode(str(plain.get("text") or ""), str(plain.get("defaultNamespace") or ""))}
        if token.startswith(("kubernetes:helm:", "kubernetes:kustomize:")):
            raise OperationError(helm_release.explanation(token))
        return super().invoke(token, arguments)

    def _settled(self, tree: dict[str, Any]) -> dict[str, Any]:
        """The inputs with the provider's namespace, where the kind has one and the program gave none."""
        metadata = cast(Mapping[str, Any], tree.get("metadata") or {})
        if tree.get("metadata") is UNKNOWN or metadata.get("namespace") or not self._namespace:
            return tree
        api_version, name = str(tree["apiVersion"]), str(tree["kind"])
        kind = built_in(api_version, name)
        if kind is None and self._server is not None and self._server.reachable():
            kind = self._server.kind(api_version, name)
        # A kind that nobody knows yet gets its namespace when it is created.
        if kind is None or not kind.namespaced:
            return tree
        return {**tree, "metadata": {**metadata, "namespace": self._namespace}}

    def _planned(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        planned = super().preview(call, inputs, state)
        if helm_release.is_release(call.token):
            return planned
        return {**planned, **({"status": UNKNOWN} if state is None and sdk_types.resource_type(call.token) else {})}

    def _wanted(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> Wanted:
        thing = to_object(inputs)
        force = self._settings.patch_force or annotations.is_true(thing, annotations.PATCH_FORCE)
        manager = annotations.field_manager(thing, state, call.urn)
        api_version, name = str(thing["apiVersion"]), str(thing["kind"])
        if not guessed(api_version, name).group and not thing.get("metadata"):
            thing["metadata"] = {}
        return Wanted(thing, manager, token_kind(call.token)[2], self._settings.upsert, force)

    def _ready(
        self, call: Call, wanted: Wanted, applied: Applied, inputs: Mapping[str, Any], state: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The object once it is ready; else it is recorded as half done, so that the next run goes on with it."""
        if wanted.patch:
            return applied.live
        try:
            return until_ready(self._require(), call, applied.path, wanted.thing, applied.live)
        except NotReadyError as error:
            kept = outputs(error.live, inputs, wanted.manager, state)
            raise HalfDoneError(str(error), identifier(error.live), kept, inputs) from None
        except OperationError as error:
            kept = outputs(applied.live, inputs, wanted.manager, state)
            raise HalfDoneError(str(error), identifier(applied.live), kept, inputs) from None

    def _note(self, call: Call, state: Mapping[str, Any]) -> None:
        uid = (reveal(state).get("metadata") or {}).get("uid")
        if isinstance(uid, str):
            self._recorded.setdefault(call.urn, set()).add(uid)

    def _applier(self, call: Call) -> Applier:
        return Applier(self._require(), call)

    def _require(self) -> ApiServer:
        """The server; raises OperationError when there is none."""
        unreachable = self._unreachable()
        if self._server is None or unreachable:
            raise OperationError(
                f"configured Kubernetes cluster is unreachable: {unreachable}. If the cluster was deleted, remove its "
                "resources from the state with PULUMI_K8S_DELETE_UNREACHABLE=true and `pulumi refresh`."
            )
        return self._server

    def _unreachable(self) -> str:
        return self._no_server if self._server is None else self._server.why_unreachable()

    def _answers(self, call: Call) -> bool:
        """Whether a dry run can be asked for; says once that it cannot."""
        unreachable = self._unreachable()
        if unreachable and not self._told.is_set():
            self._told.set()
            call.log.warning(
                f"No dry run against the cluster: {unreachable}. The preview shows the program's own values."
            )
        return not unreachable


@contextmanager
def _speaking(what: str, inputs: Mapping[str, Any]) -> Generator[None]:
    """Refusals of the server as errors for the user, without the secret values that the server may repeat."""
    try:
        yield
    except (ApiError, UnreachableError, OperationError) as error:
        text = str(error) if isinstance(error, OperationError) else f"{what}: {error}"
        for secret in sorted(secret_texts(inputs), key=len, reverse=True):
            text = text.replace(secret, "[secret]") if len(secret) > 3 else text
        raise OperationError(text) from None
