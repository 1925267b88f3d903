"""What `{agent, …}` says that code in a language does not: the agent type, what it is to do, and the workspace."""

from collections.abc import Iterator

from fleet_runtime.agent_script import WORKSPACE_FOLDER, agent_program, agent_script
from fleet_runtime.api.models import MAXIMUM_CODE_CHARACTERS, AgentJob
from fleet_runtime.config import ApiSettings
from fleet_runtime.payload import PROGRAM
from fleet_runtime.pool_settings import Agent
from fleet_runtime.workspaces import WORKSPACE_NAME, WORKSPACE_RULE

LANGUAGE = "agent"
"""What stands for the language of such a job in lists, logs and metrics."""
_SHELL = "bash"
"""The language that the payload of a text has."""
_SHOWN_CHARACTERS = 60


def known_agents(settings: ApiSettings) -> tuple[str, ...]:
    """Return the agent types that this API knows at all; which of them a tenant has is `Routes`'s to say."""
    if settings.agent_type is not None:
        return (settings.agent_type,)
    return tuple(sorted({each.agent_type for each in (*settings.agents, *settings.pools)}))


def agent_problems(request: AgentJob, settings: ApiSettings) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for all that is wrong with the fields that only such a job has."""
    known = known_agents(settings)
    given = f"{request.agent!r}"[:_SHOWN_CHARACTERS]
    if not known:
        message = "was given, but no agent type is configured in this stack; send `language` and `code`"
        yield "agent", f"{given} {message}"
        return
    if request.agent not in known:
        yield "agent", f"{given} was given; allowed are {', '.join(known)}"
        return
    if (request.prompt is None) == (request.command is None):
        yield "command", "give either `command` or `prompt`, and not both"
    elif request.prompt is not None:
        yield from _prompt_problems(request, settings)
    elif isinstance(request.command, list):
        yield from _argument_problems(request.command)
    elif (agent := _agent(request.agent, settings)) is not None and not agent.shell:
        message = f"is a script, and the image of agent type {request.agent!r} has no shell"
        yield "command", f"{message}; send a list: the program and its arguments"
    if request.workspace is not None:
        yield from _workspace_problems(request.workspace, settings)


def payload_parts(request: AgentJob, settings: ApiSettings) -> tuple[str, str, str | None]:
    """Return the payload's language, code and standard input of a request without problems.

    A prompt is nothing but input: as an argument it could be taken for an option, and other processes could read it.
    """
    folder = None if request.workspace is None else WORKSPACE_FOLDER
    if request.prompt is not None:
        return PROGRAM, agent_program(_prompt_command(request.agent, settings), folder), request.prompt
    if isinstance(request.command, str):
        return _SHELL, agent_script(request.command, folder), request.stdin
    return PROGRAM, agent_program(request.command or (), folder), request.stdin


def _agent(agent_type: str, settings: ApiSettings) -> Agent | None:
    return next((agent for agent in settings.agents if agent.agent_type == agent_type), None)


def _prompt_command(agent_type: str, settings: ApiSettings) -> tuple[str, ...]:
    agent = _agent(agent_type, settings)
    return () if agent is None else agent.prompt_command


def _prompt_problems(request: AgentJob, settings: ApiSettings) -> Iterator[tuple[str, str]]:
    if not _prompt_command(request.agent, settings):
        yield "prompt", f"agent type {request.agent!r} has no `prompt_command` to give a prompt to; send `command`"
    if request.stdin is not None:
        yield "stdin", "goes with `command` only: a prompt is itself the standard input"


def _argument_problems(command: list[str]) -> Iterator[tuple[str, str]]:
    if not command[0]:
        yield "command", "names no program: its first part is empty"
    characters = sum(map(len, command))
    if characters > MAXIMUM_CODE_CHARACTERS:
        yield "command", f"has {characters} characters; at most {MAXIMUM_CODE_CHARACTERS} are allowed"


def _workspace_problems(workspace: str, settings: ApiSettings) -> Iterator[tuple[str, str]]:
    if not settings.agents:
        message = "no workspace can be mounted in the pools of a cluster; leave the field out and send `files`"
        yield "workspace", message
    elif not WORKSPACE_NAME.fullmatch(workspace):
        yield "workspace", f"{workspace!r}"[:_SHOWN_CHARACTERS] + f" was given; allowed is {WORKSPACE_RULE}"
