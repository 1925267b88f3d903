"""The API as an ASGI application."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response
from starlette.types import ASGIApp

from fleet_runtime.api import execute, jobs, output, probes, usage
from fleet_runtime.api.agent_jobs import known_agents
from fleet_runtime.api.models import EncodedFile, request_schema
from fleet_runtime.api.observation import Observation
from fleet_runtime.api.pools import header_parameter
from fleet_runtime.api.problems import ProblemDocument, handle_problems, invalid
from fleet_runtime.api.runtime import ApiRuntime

_DESCRIPTION = "Runs untrusted code as jobs: accepted means committed, and a result is stored once."


def create_app(runtime: ApiRuntime) -> ASGIApp:
    """Return the application for these parts."""
    # No interactive pages: they load scripts from elsewhere, and this service may have no way there. No redirects:
    # the document declares none, and a client that follows one may leave its key or its body behind.
    app = FastAPI(
        title="agent-fleet execution API",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.runtime = runtime
    app.include_router(execute.router)
    app.include_router(jobs.router)
    app.include_router(output.router)
    app.include_router(usage.router)
    app.include_router(probes.router)
    handle_problems(app)
    app.add_exception_handler(RequestValidationError, _invalid)
    document = _document(app, runtime)
    app.openapi = lambda: document
    return Observation(app, runtime.metrics, runtime.tracing)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what the handler is registered for
    fields: dict[str, str] = {}
    for found in error.errors():
        name = str(found["loc"][1]) if len(found["loc"]) > 1 else "request"
        fields.setdefault(name, f"{found['msg'][0].lower()}{found['msg'][1:]}, not {str(found.get('input'))[:50]!r}")
    return invalid(list(fields.items())).response()


def _document(app: FastAPI, runtime: ApiRuntime) -> dict[str, Any]:
    """Return the OpenAPI document, with what FastAPI cannot derive: the body of /execute and the problem's schema."""
    document = app.openapi()
    schemas = document["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    template = "#/components/schemas/{model}"
    problem = ProblemDocument.model_json_schema(ref_template=template)
    schemas.update(problem.pop("$defs"))
    schemas["ProblemDocument"] = problem
    schemas["EncodedFile"] = EncodedFile.model_json_schema(ref_template=template)
    settings = runtime.settings
    execution = document["paths"]["/execute"]["post"]
    header = header_parameter(settings)
    if header is not None:
        execution["parameters"] = [*execution["parameters"], header]
    body = execution["requestBody"]
    body["content"]["application/json"]["schema"] = request_schema(
        settings.languages, settings.max_timeout_seconds, known_agents(settings)
    )
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in list(operation["responses"].items()):
                if int(status) < 400:
                    continue
                # FastAPI adds application/json to every answer that it is told of, and a 422 of its own to others.
                answer["content"].pop("application/json", None)
                if not answer["content"]:
                    del operation["responses"][status]
    return document
