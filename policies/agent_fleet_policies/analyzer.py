"""The pack as the engine talks to it: the Analyzer service of Pulumi's protocol."""

import sys
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from datetime import UTC, date, datetime
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import analyzer_pb2 as messages
from pulumi.runtime.proto import analyzer_pb2_grpc, plugin_pb2

from agent_fleet_policies.judgement import Judge, NotJudged, Verdict
from agent_fleet_policies.resource import Resource, Stack
from agent_fleet_policies.rule import Rule, Severity
from agent_fleet_policies.rules import RULES
from agent_fleet_policies.settings import RuleSettings, SettingsError, Unjudged, rule_settings, unjudged
from agent_fleet_policies.value import Value
from agent_fleet_policies.wire import plain

PACK = "agent-fleet"
VERSION = "0.1.0"
GATE = "not-judged"
"""The policy that counts what a preview cannot judge."""
_GATE_TEXT = "Nothing stays unjudged in a preview but what is listed"
_MESSAGE_BYTES = 400 * 1024 * 1024
_SEVERITIES = {
    Severity.LOW: messages.POLICY_SEVERITY_LOW,
    Severity.MEDIUM: messages.POLICY_SEVERITY_MEDIUM,
    Severity.HIGH: messages.POLICY_SEVERITY_HIGH,
    Severity.CRITICAL: messages.POLICY_SEVERITY_CRITICAL,
}


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """Judges resource by resource, then the stack. Properties are read once for all rules."""

    def __init__(self, rules: tuple[Rule, ...] = RULES, today: Callable[[], date] | None = None) -> None:
        """Every rule mandatory with its defaults, until `Configure` says otherwise."""
        self._rules = rules
        self._today = today or (lambda: datetime.now(UTC).date())
        self._levels: dict[str, int] = {}
        self._allowed: list[Unjudged] = []
        self._judge = self._judge_of({})
        self._lock = threading.Lock()
        # What `AnalyzeStack` gets are outputs, in which a provider's defaults look like what the program set.
        self._inputs: dict[str, Value] = {}
        self._waiting: dict[tuple[str, str], int] = {}

    def _judge_of(self, settings: Mapping[str, RuleSettings]) -> Judge:
        active = [rule for rule in self._rules if self._level(rule.id) != messages.DISABLED]
        complete = {rule.id: settings.get(rule.id) or rule_settings(rule, {}) for rule in self._rules}
        return Judge(active, complete, self._today)

    def _level(self, name: str) -> int:
        return self._levels.get(name, messages.MANDATORY)

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        """Agree to talk."""
        del request, context
        return messages.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The pack's version."""
        del request, context
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Every rule, with its settings."""
        del request, context
        info = messages.AnalyzerInfo(name=PACK, version=VERSION, supportsConfig=True)
        info.displayName = "agent-fleet"
        for rule in self._rules:
            policy = info.policies.add(
                name=rule.id,
                displayName=rule.title,
                description=rule.title,
                message=rule.reason,
                enforcementLevel=self._level(rule.id),
                severity=_SEVERITIES[rule.severity],
                remediation_steps=rule.fix,
                policy_type=messages.POLICY_TYPE_STACK if rule.check_stack else messages.POLICY_TYPE_RESOURCE,
                tags=[rule.source],
            )
            policy.configSchema.properties.update(_schema(rule))
        gate = info.policies.add(
            name=GATE,
            displayName=_GATE_TEXT,
            description=_GATE_TEXT,
            enforcementLevel=self._level(GATE),
            policy_type=messages.POLICY_TYPE_RESOURCE,
        )
        gate.configSchema.properties.update({"allowed": {"type": "array", "items": {"type": "object"}}})
        return info

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the team's settings; wrong ones end the operation with what is wrong."""
        given = {name: json_format.MessageToDict(each.properties) for name, each in request.policyConfig.items()}
        self._levels = {name: each.enforcementLevel for name, each in request.policyConfig.items()}
        try:
            settings = {rule.id: rule_settings(rule, given.get(rule.id, {})) for rule in self._rules}
            self._allowed = unjudged(given.get(GATE, {}), GATE)
            known = {*settings, GATE, "all"}
            for name in given:
                if name not in known:
                    raise SettingsError(f"{name}: there is no such rule; docs/policies.md lists them")
        except SettingsError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the policy pack's configuration is refused: {error}")
            raise
        self._judge = self._judge_of(settings)
        return empty_pb2.Empty()

    def ConfigureStack(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A new operation begins."""
        del request, context
        with self._lock:
            self._inputs.clear()
            self._waiting.clear()
        return messages.AnalyzerStackConfigureResponse()

    def Analyze(self, request: Any, context: Any) -> Any:  # noqa: N802
        """One resource, as it is about to be registered."""
        del context
        properties = Value(plain(request.properties))
        with self._lock:
            self._inputs[request.urn] = properties
        resource = Resource(request.type, request.urn, request.name, properties, tuple(request.options.ignoreChanges))
        return self._response(self._judge.resource(resource))

    def AnalyzeStack(self, request: Any, context: Any) -> Any:  # noqa: N802
        """All resources, at the end; with the inputs that `Analyze` has seen of them."""
        del context
        with self._lock:
            inputs = dict(self._inputs)
        resources = (
            Resource(
                each.type,
                each.urn,
                each.name,
                inputs[each.urn] if each.urn in inputs else Value(plain(each.properties)),
                tuple(each.options.ignoreChanges),
                {name: tuple(urns.urns) for name, urns in each.propertyDependencies.items()},
            )
            for each in request.resources
        )
        response = self._response(self._judge.stack(Stack(resources)))
        with self._lock:
            waiting = dict(self._waiting)
        if waiting and self._level(GATE) != messages.DISABLED:
            rules = ", ".join(f"{name} {count}" for name, count in _counts(waiting).items())
            text = f"Not judged before the update, and listed as such: {sum(waiting.values())} properties ({rules})."
            response.diagnostics.append(self._diagnostic(GATE, _GATE_TEXT, text, "", messages.ADVISORY))
        return response

    def Remediate(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Changes nothing: what a program declares is corrected in the program."""
        del request, context
        return messages.RemediateResponse()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Nothing runs on."""
        del request, context
        return empty_pb2.Empty()

    def _response(self, verdicts: Any) -> Any:
        response = messages.AnalyzeResponse()
        for verdict in verdicts:
            if (diagnostic := self._of(verdict)) is not None:
                response.diagnostics.append(diagnostic)
        return response

    def _of(self, verdict: Verdict) -> Any:
        rule = verdict.rule
        if not isinstance(verdict, NotJudged):
            level = self._level(rule.id)
            text = f"{verdict.message}. {rule.fix}"
            return self._diagnostic(rule.id, rule.title, text, verdict.urn, level, _SEVERITIES[rule.severity])
        unlisted = [
            path
            for path in verdict.paths
            if not any(each.covers(rule.id, verdict.type, path) for each in self._allowed)
        ]
        level = self._level(GATE)
        if unlisted and level != messages.DISABLED:
            text = f"{rule.id}: {', '.join(unlisted)} is unknown in the preview, so the rule could not judge it"
            return self._diagnostic(GATE, _GATE_TEXT, text, verdict.urn, min(level, self._level(rule.id)))
        with self._lock:
            self._waiting[(rule.id, verdict.urn)] = len(verdict.paths)
        return None

    def _diagnostic(
        self,
        name: str,
        title: str,
        text: str,
        urn: str,
        level: Any,
        severity: Any = messages.POLICY_SEVERITY_UNSPECIFIED,
    ) -> Any:
        # The engine's word for a rule that may change resources, which it takes for advice; this pack changes none.
        level = messages.MANDATORY if level == messages.REMEDIATE else level
        return messages.AnalyzeDiagnostic(
            policyName=name,
            policyPackName=PACK,
            policyPackVersion=VERSION,
            description=title,
            message=f"{title}\n{text}",
            enforcementLevel=level,
            urn=urn,
            severity=severity,
        )


def _counts(waiting: Mapping[tuple[str, str], int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for (name, _), count in sorted(waiting.items()):
        found[name] = found.get(name, 0) + count
    return found


def _schema(rule: Rule) -> dict[str, Any]:
    """A rule's settings in JSON Schema, which the engine holds a configuration against."""
    texts = {"type": "array", "items": {"type": "string"}}
    found: dict[str, Any] = {
        name: {
            **({"type": "number"} if isinstance(option.default, (int, float)) else texts),
            "description": option.meaning,
        }
        for name, option in rule.options.items()
    }
    return {**found, "exceptions": {"type": "array", "items": {"type": "object"}}, "demands": texts}


def serve() -> None:
    """Serve until the engine ends this process."""
    options = [("grpc.max_receive_message_length", _MESSAGE_BYTES)]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()
