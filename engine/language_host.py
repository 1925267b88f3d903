"""Pulumi's language host for Python: the engine's `pulumi-language-python`.

The official host comes with the official engine only. This one serves the same LanguageRuntime protocol, in as much as
running, previewing, installing and asking about programs needs it. It prints its port and serves until the engine ends.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent import futures
from pathlib import Path
from types import FrameType
from typing import Any

import grpc
from google.protobuf import empty_pb2

from engine import python_program
from engine.standins.process_life import exit_with_parent
from engine.standins.protocol import plugin_pb2

# After `protocol`, which spares this process the import of the whole SDK (0.4 s of every engine run).
from pulumi.runtime.proto import language_pb2, language_pb2_grpc  # isort: skip

VERSION = "3.200.0"
_BAIL = 32  # the SDK's exit code for "the user has been told" (pulumi-language-python-exec)
_MESSAGE_BYTES = 400 * 1024 * 1024  # the engine's own limit (sdk/go/common/util/rpcutil)
_GRACE_SECONDS = 5.0


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine. `flags` are the runtime options as the engine passes them on the command line."""

    def __init__(self, engine: str, flags: dict[str, str]) -> None:
        """`engine` is the address that programs send their logs to."""
        self._engine = engine
        self._flags = flags
        self._programs: set[subprocess.Popen[Any]] = set()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End what runs: first politely, then for good."""
        with self._lock:
            programs = [program for program in self._programs if program.poll() is None]
        for program in programs:
            program.terminate()
        for program in programs:
            try:
                program.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()

    def _interpreter(self, info: Any) -> python_program.Interpreter:
        options = dict(info.options.items()) if info.HasField("options") else {}
        toolchain = options.get("toolchain", self._flags.get("toolchain", ""))
        virtual_environment = str(options.get("virtualenv", self._flags.get("virtualenv", "")))
        if not virtual_environment and toolchain == "uv":
            virtual_environment = ".venv"
        root = info.root_directory or self._flags.get("root", "") or str(Path.cwd())
        return python_program.interpreter(virtual_environment, Path(root))

    def _start(self, arguments: Sequence[str], context: Any, **options: Any) -> subprocess.Popen[Any]:
        """Start a process that ends when the engine gives up on the call."""
        program = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, **options)
        with self._lock:
            self._programs.add(program)
        if not context.add_callback(lambda: program.poll() is None and program.terminate()):
            program.terminate()
        return program

    def _answer(self, info: Any, script: str, *arguments: str) -> str:
        found = self._interpreter(info)
        command = [str(found.executable), "-c", script, *arguments]
        run = subprocess.run(
            command, env=found.environment(os.environ), capture_output=True, text=True, check=False, timeout=60
        )
        if run.returncode:
            raise python_program.ProgramError(f"{found.executable} failed: {run.stderr.strip()}")
        return run.stdout

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        """Agree to talk; the engine passes the project's folders again with every request."""
        del context
        if request.engine_address:
            self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The engine version whose protocol this host speaks."""
        del request, context
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The provider packages installed in the program's environment."""
        try:
            lines = self._answer(request.info, python_program.PLUGINS_SCRIPT).splitlines()
        except python_program.ProgramError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise
        plugins: dict[str, Any] = {}
        for plugin in map(json.loads, lines):
            dependency = plugin_pb2.PackageDependency(
                name=plugin["name"], kind="resource", version=plugin.get("version", ""), server=plugin.get("server", "")
            )
            if parameterization := plugin.get("parameterization"):
                dependency.parameterization.name = parameterization["name"]
                dependency.parameterization.version = parameterization["version"]
                dependency.parameterization.value = parameterization["value"].encode()
            plugins.setdefault(plugin["name"], dependency)
        return language_pb2.GetRequiredPackagesResponse(packages=plugins.values())

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The same for engines from before packages had parameters."""
        packages = self.GetRequiredPackages(request, context).packages
        return language_pb2.GetRequiredPluginsResponse(
            plugins=[
                plugin_pb2.PluginDependency(name=p.name, kind=p.kind, version=p.version, server=p.server)
                for p in packages
            ]
        )

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Nothing to ask: Pulumi.yaml names the virtual environment."""
        del request, context
        return language_pb2.RuntimeOptionsResponse()

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The program's Python, for `pulumi about`."""
        del context
        found = self._interpreter(request.info)
        version = subprocess.run(
            [found.executable, "--version"], capture_output=True, text=True, check=False, timeout=30
        )
        return language_pb2.AboutResponse(
            executable=str(found.executable), version=version.stdout.removeprefix("Python ").strip()
        )

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The Python distributions that the program has."""
        del context
        which = "all" if request.transitiveDependencies else "direct"
        pairs = json.loads(self._answer(request.info, python_program.DEPENDENCIES_SCRIPT, which))
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in pairs]
        )

    def InstallDependencies(self, request: Any, context: Any) -> Generator[Any]:  # noqa: N802
        """Make the virtual environment and install what the project locks or lists."""
        directory = Path(request.directory)
        environment = directory / str(dict(request.info.options.items()).get("virtualenv", ".venv"))
        uv = environment / "bin" / "uv"
        uv = str(uv) if uv.exists() else shutil.which("uv")
        if (directory / "uv.lock").exists() and uv:
            commands = [[uv, "sync", "--frozen"]]
        else:
            commands = [[sys.executable, "-m", "venv", str(environment)]]
            if (directory / "requirements.txt").exists():
                commands.append([str(environment / "bin" / "python"), "-m", "pip", "install", "-r", "requirements.txt"])
        for command in commands:
            run = self._start(
                command, context, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
            )
            assert run.stdout is not None  # noqa: S101 - asked for above
            while chunk := run.stdout.read(65536):
                yield language_pb2.InstallDependenciesResponse(stdout=chunk)
            if run.wait():
                context.abort(grpc.StatusCode.UNKNOWN, f"{' '.join(command)} exited with code {run.returncode}")

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run the program to its end. Its output goes to the engine through this process's own."""
        if request.attach_debugger:
            return language_pb2.RunResponse(error="This language host cannot attach a debugger.")
        program_directory = Path(request.info.program_directory or request.pwd)
        try:
            found = self._interpreter(request.info)
            executor = python_program.executor()
        except python_program.ProgramError as error:
            return language_pb2.RunResponse(error=str(error))
        arguments = [str(found.executable), "-u", str(executor)]
        for name, value in (
            ("monitor", request.monitor_address),
            ("engine", self._engine),
            ("project", request.project),
            ("stack", request.stack),
            ("pwd", str(program_directory)),
            ("dry_run", str(request.dryRun).lower()),
            ("parallel", str(request.parallel)),
            ("organization", request.organization),
            ("root_directory", request.info.root_directory or request.pwd),
        ):
            if value:
                arguments += [f"--{name}", value]
        arguments += [str(program_directory / (request.info.entry_point or ".")), *request.args]
        environment = found.environment(os.environ)
        environment.update(python_program.configuration(request.config, request.configSecretKeys))
        environment.setdefault("PULUMI_STACK", request.stack)
        program = self._start(arguments, context, cwd=program_directory, env=environment)
        code = program.wait()
        if code == 0:
            return language_pb2.RunResponse()
        if code == _BAIL:
            return language_pb2.RunResponse(bail=True)
        if code < 0:
            return language_pb2.RunResponse(error=f"Program was ended by {signal.Signals(-code).name}")
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {code}")

    def RunPlugin(self, request: Any, context: Any) -> Generator[Any]:  # noqa: N802
        """Run a provider or component package that is written in Python; its output is the engine's to read."""
        try:
            found = self._interpreter(request.info)
        except python_program.ProgramError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise
        target = request.info.program_directory or request.program
        environment = found.environment(dict(entry.split("=", 1) for entry in request.env) or os.environ)
        program = self._start(
            [str(found.executable), "-u", target, *request.args],
            context,
            cwd=request.pwd,
            env=environment,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert program.stdout is not None  # noqa: S101 - asked for above
        while chunk := program.stdout.read(65536):
            yield language_pb2.RunPluginResponse(stdout=chunk)
        yield language_pb2.RunPluginResponse(exitcode=program.wait())

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The user interrupted: end the program."""
        del request, context
        self.stop()
        return empty_pb2.Empty()


def _parse(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The engine's address (the last argument) and `-name=value` flags."""
    flags: dict[str, str] = {}
    for argument in arguments:
        if argument.startswith("-"):
            name, _, value = argument.lstrip("-").partition("=")
            flags[name] = value
    positional = [argument for argument in arguments if not argument.startswith("-")]
    return (positional[-1] if positional else ""), flags


def main() -> None:
    """Serve until SIGINT, SIGTERM, or the engine's end."""
    address, flags = _parse(sys.argv[1:])
    host = LanguageHost(address, flags)

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        host.stop()
        os._exit(0)

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)
    exit_with_parent(host.stop)
    options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
