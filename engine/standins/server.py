"""Serves a stand-in as a provider plugin: Pulumi's ResourceProvider protocol around a `StandIn`.

Written on the generated service and not on `pulumi.provider.experimental`, which reports a failure with its stack
trace, cannot say that a resource was half made, and imports the whole SDK.
"""

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from concurrent import futures
from contextlib import contextmanager
from types import FrameType
from typing import Any

import grpc
from google.protobuf import empty_pb2

from engine.standins import sdk_types, type_check
from engine.standins.differences import Kind
from engine.standins.engine_log import EngineLog
from engine.standins.process_life import exit_now, exit_with_parent
from engine.standins.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from engine.standins.standin import Call, HalfDoneError, Judgement, OperationError, StandIn
from engine.standins.values import decode, encode

_MESSAGE_BYTES = 400 * 1024 * 1024  # the engine's own limit (sdk/go/common/util/rpcutil)
# One waits in each operation under way: as many as the engine's default on a machine with 64 processors.
_THREADS = 256
_KINDS = {
    (Kind.ADDED, False): provider_pb2.PropertyDiff.ADD,
    (Kind.ADDED, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Kind.DELETED, False): provider_pb2.PropertyDiff.DELETE,
    (Kind.DELETED, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Kind.CHANGED, False): provider_pb2.PropertyDiff.UPDATE,
    (Kind.CHANGED, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Translates between engine messages and a stand-in's operations."""

    def __init__(self, standin: StandIn, log: EngineLog) -> None:
        """Serve `standin`; what users must hear goes to `log`."""
        self._standin = standin
        self._log = log
        self._cancelled = threading.Event()
        self._notice_given = False

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        """Agree on what values may carry."""
        del request, context
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The installed SDK's version, as the official plugin of that version would answer."""
        del request, context
        return plugin_pb2.PluginInfo(version=self._standin.version)

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse provider settings that the SDK does not have."""
        with self._reporting(context, "check the settings", request.urn):
            known = sdk_types.provider_settings(self._standin.package)
            settings = [key for key in decode(request.news) if not key.startswith("__") and key != "version"]
            failures = [
                provider_pb2.CheckFailure(reason=f"{key}: {type_check.unknown_property(key, known)}")
                for key in settings
                if known and key not in known
            ]
            found = self._standin.check_settings(decode(request.news))
            failures += [provider_pb2.CheckFailure(reason=f"{item.path}: {item.reason}") for item in found]
            return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Judge changed settings; most of them replace nothing."""
        with self._reporting(context, "compare the settings of", request.urn):
            changed, replacing = self._standin.diff_settings(decode(request.olds), decode(request.news))
            changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
            return provider_pb2.DiffResponse(changes=changes, diffs=changed, replaces=replacing)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the settings, and say that this is a stand-in."""
        with self._reporting(context, "take the settings", request.urn):
            self._standin.configure(decode(request.args))
            if not self._notice_given:
                self._notice_given = True
                self._log.info(self._standin.announcement)
            return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check and complete a resource's inputs."""
        with self._reporting(context, "check", request.urn):
            inputs, failures = self._standin.check(self._call(request), decode(request.olds), decode(request.news))
            return provider_pb2.CheckResponse(
                inputs=encode(inputs),
                # With a property given, the engine prints its value, even a secret one.
                failures=[provider_pb2.CheckFailure(reason=f"{item.path}: {item.reason}") for item in failures],
            )

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Judge what changed."""
        with self._reporting(context, "compare", request.urn):
            state, new = decode(request.olds), decode(request.news)
            judgement = self._standin.diff(self._call(request), decode(request.old_inputs), state, new)
            return _diff_response(judgement, list(request.ignoreChanges))

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create a resource, or foretell its outputs."""
        with self._reporting(context, "create", request.urn):
            call, inputs = self._call(request), decode(request.properties)
            if request.preview:
                return provider_pb2.CreateResponse(properties=encode(self._standin.preview(call, inputs, None)))
            created = self._standin.create(call, inputs)
            return provider_pb2.CreateResponse(id=created.resource_id, properties=encode(created.outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Look at a resource as it is now."""
        with self._reporting(context, "read", request.urn):
            found = self._standin.read(self._call(request), decode(request.inputs), decode(request.properties))
            if not found.resource_id:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=found.resource_id, properties=encode(found.outputs), inputs=encode(found.inputs)
            )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Change a resource in place, or foretell its outputs."""
        with self._reporting(context, "update", request.urn):
            call, state, new = self._call(request), decode(request.olds), decode(request.news)
            if request.preview:
                outputs = self._standin.preview(call, new, state)
            else:
                outputs = self._standin.update(call, decode(request.old_inputs), state, new)
            return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Delete a resource."""
        with self._reporting(context, "delete", request.urn):
            self._standin.delete(self._call(request), decode(request.properties))
            return empty_pb2.Empty()

    def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse the components that an official plugin brings along."""
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"{request.type} is a component inside the official {self._standin.package} plugin, which the stand-in "
            "does not have. Use the official plugin for it.",
        )

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer a data source."""
        with self._reporting(context, "call", request.tok):
            result = self._standin.invoke(request.tok, decode(request.args))
            response = provider_pb2.InvokeResponse()
            # The field's name is a Python keyword.
            getattr(response, "return").CopyFrom(encode(result))
            return response

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Stop waiting: operations under way end soon, with an error where they cannot finish."""
        del request, context
        self._cancelled.set()
        self._standin.stop()
        return empty_pb2.Empty()

    def _call(self, request: Any) -> Call:
        urn: str = request.urn
        return Call(
            urn=urn,
            token=urn.split("::")[2].rpartition("$")[2],
            name=urn.rpartition("::")[2],
            log=self._log,
            cancelled=self._cancelled,
            preview=getattr(request, "preview", False),
            timeout_seconds=getattr(request, "timeout", 0.0),
            resource_id=getattr(request, "id", ""),
            ignored=tuple(getattr(request, "ignoreChanges", ())),
        )

    @contextmanager
    def _reporting(self, context: Any, action: str, subject: str) -> Generator[None]:
        try:
            yield
        except HalfDoneError as error:
            context.abort_with_status(_HalfDoneStatus(error))
        except OperationError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:
            self._log.debug(traceback.format_exc())
            fault = f"{type(error).__name__}: {error}"
            context.abort(
                grpc.StatusCode.UNKNOWN,
                f"the {self._standin.package} stand-in could not {action} {subject} because of a fault of its own "
                f"({fault}). Run with `--debug` for the details, and report them.",
            )


class _HalfDoneStatus(grpc.Status):
    """The status of a call that left a resource half done, with what the engine is to record of it."""

    def __init__(self, error: HalfDoneError) -> None:
        detail = provider_pb2.ErrorResourceInitFailed(
            id=error.resource_id,
            properties=encode(error.outputs),
            inputs=encode(error.inputs),
            reasons=[str(error)],
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
        status.details.add().Pack(detail)
        self.code = grpc.StatusCode.UNKNOWN
        self.details = str(error)
        self.trailing_metadata = (("grpc-status-details-bin", status.SerializeToString()),)


def _diff_response(judgement: Judgement, ignored: list[str]) -> Any:
    found = [item for item in judgement.differences if not any(_covers(path, item.path) for path in ignored)]
    tops = sorted({re.split(r"[.\[]", item.path)[0] for item in found})
    replacing = [item.path for item in found if item.path in judgement.replacing]
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=tops,
        replaces=sorted({re.split(r"[.\[]", path)[0] for path in replacing}),
        deleteBeforeReplace=bool(replacing) and judgement.delete_before_replace,
        hasDetailedDiff=True,
        detailedDiff={
            item.path: provider_pb2.PropertyDiff(
                kind=_KINDS[item.kind, item.path in judgement.replacing], inputDiff=True
            )
            for item in found
        },
    )


def _covers(ignored: str, path: str) -> bool:
    return path == ignored or path.startswith((f"{ignored}.", f"{ignored}["))


def serve(make: Callable[[], StandIn]) -> None:
    """Run a stand-in as the plugin that this process is; returns when the engine ends it."""
    arguments = [item for item in sys.argv[1:] if not item.startswith("-")]
    if not arguments:
        sys.exit("This is a plugin that the Pulumi engine starts; it takes the engine's address as its argument.")
    standin = make()
    exit_with_parent(standin.stop)

    # The engine ends its plugins by SIGINT and waits for them. A Ctrl-C of the user does not come here: plugins have a
    # process group of their own, and hear of it by Cancel.
    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        exit_now(standin.stop)

    signal.signal(signal.SIGINT, leave)
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=_THREADS),
        options=[("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)],
    )
    servicer = Servicer(standin, EngineLog(arguments[0]))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    os.write(sys.stdout.fileno(), f"{port}\n".encode())
    server.wait_for_termination()
