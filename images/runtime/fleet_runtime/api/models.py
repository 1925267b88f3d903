"""What the API takes and gives, as it stands in the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from fleet_runtime.payload import MAXIMUM_FILES

MAXIMUM_CODE_CHARACTERS = 100_000


def _plain(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("text", "holds a NUL character, which is not allowed in text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PydanticCustomError("text", "holds a lone surrogate, which is not valid Unicode") from None
    return value


# A length stands before the validator, not on Text: after it, pydantic counts entries and not characters.
Text = Annotated[str, AfterValidator(_plain)]


class EncodedFile(BaseModel):
    """A file that is not text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    base64: str = Field(description="the file's bytes in standard base64, padded, without line breaks")


class JobOptions(BaseModel):
    """What every job may have."""

    model_config = ConfigDict(extra="forbid", strict=True)

    stdin: Text | None = Field(default=None, description="the program's standard input; 8 MiB at most")
    files: dict[Text, Text | EncodedFile] | None = Field(
        default=None,
        max_length=MAXIMUM_FILES,
        description="relative path → text, or base64: laid into the working directory; 16 MiB decoded in all",
    )
    timeout_seconds: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="wall-clock time that the program may take"
    )
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_plain)] | None = Field(
        default=None, description="the same key and body give the same job until its result expires"
    )
    priority: int | None = Field(
        default=None, ge=-100, le=100, description="higher runs earlier among the tenant's own jobs; 0 if not given"
    )
    max_attempts: int | None = Field(
        default=None,
        ge=1,
        le=10,
        description="how often the infrastructure may fail the job before it is `lost`; given here, a sandbox that "
        "dies under the job is retried too, so its code may run more than once",
    )
    workspace: Text | None = Field(default=None, description="refused here: it goes with `agent`")


class LanguageJob(JobOptions):
    """Code to run."""

    language: Text = Field(description="what to run the code with")
    code: Annotated[str, Field(max_length=MAXIMUM_CODE_CHARACTERS), AfterValidator(_plain)] = Field(
        description="the program, written to main.<ext> in the working directory and run from there"
    )


class AgentJob(JobOptions):
    """Work for an agent: a command, or a prompt, in the sandbox of that agent type."""

    agent: Text = Field(description="the agent type; the header `agent-type`, where it is sent, says the same")
    prompt: Annotated[str, Field(min_length=1, max_length=MAXIMUM_CODE_CHARACTERS), AfterValidator(_plain)] | None = (
        Field(default=None, description="given to the agent type's own command as its standard input")
    )
    command: (
        Annotated[list[Text], Field(min_length=1, max_length=MAXIMUM_FILES)]
        | Annotated[str, Field(min_length=1, max_length=MAXIMUM_CODE_CHARACTERS), AfterValidator(_plain)]
        | None
    ) = Field(default=None, description="a program and its arguments, or a text for bash")
    workspace: Text | None = Field(
        default=None,
        description="the tenant's workspace that is mounted at /workspace and is the job's working directory; it is "
        "made at its first use and kept, and one job at a time has it: others wait",
    )


class AcceptedJob(BaseModel):
    """A job that is committed."""

    id: str
    status: str


class CancelledJob(BaseModel):
    """What a cancel led to."""

    id: str
    status: str = Field(description="a job's state, or `cancel_requested`")


class JobError(BaseModel):
    """Why a job did not succeed, where it was not the program's own doing."""

    code: str
    message: str


class JobResult(BaseModel):
    """A job and, once it has ended, its result."""

    id: str
    status: str
    attempt: int
    exit_code: int | None = Field(description="null unless the program exited")
    signal: str | None
    stdout: str
    stderr: str
    stdout_truncated: bool
    stderr_truncated: bool
    queued_ms: float | None = Field(description="from acceptance to the start of this attempt")
    start_ms: float | None = Field(description="the wait for a sandbox")
    run_ms: float | None
    warm: bool | None
    error: JobError | None


class JobSummary(BaseModel):
    """A job in a list."""

    id: str
    status: str
    language: str = Field(description="`agent` for an agent's job")
    agent: str | None
    workspace: str | None
    priority: int
    attempt: int
    exit_code: int | None
    cancel_requested: bool
    created_at: datetime
    claimed_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None


class JobPage(BaseModel):
    """A part of the list, newest first."""

    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="pass it as `cursor` for what follows; null at the end")


class UsageLimits(BaseModel):
    """A tenant's limits; null is none."""

    queue: int = Field(description="jobs queued in one pool; above it a job is refused with 429")
    max_concurrent: int | None = Field(description="jobs running at once, over all pools")
    jobs_per_minute: int | None = Field(
        description="jobs that begin: so many at once after a quiet minute, so many a minute in the long run"
    )
    jobs_per_day: int | None = Field(description="jobs that begin on one day")
    cpu_seconds_per_day: int | None = Field(description="processor time of jobs that end on one day")


class DayUsage(BaseModel):
    """What a tenant has used of a day's budgets. A day is one of UTC."""

    jobs: int = Field(description="jobs that have begun, each counted once")
    cpu_seconds: float
    resets_at: datetime


class Usage(BaseModel):
    """A tenant's budget: over it, jobs wait in the queue."""

    tenant: str
    limits: UsageLimits
    today: DayUsage
    queued: int
    running: int
    exhausted: list[str] = Field(description="the limits that keep queued jobs from beginning now")


class Health(BaseModel):
    """The API process is alive."""

    status: str


class Readiness(BaseModel):
    """The fleet can accept and run jobs."""

    ready: bool
    workers: int = Field(description="live workers whose sandboxes are healthy")
    reasons: list[str]
    draining: list[str] = Field(default=[], description="live workers that finish their jobs and take no more")


def request_schema(
    languages: tuple[str, ...], maximum_timeout_seconds: float, agents: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the JSON Schema of `POST /execute`'s body, with this stack's own limits."""
    forms: list[Any] = []
    for model in (LanguageJob, AgentJob):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        if "language" in schema["properties"]:
            schema["properties"]["language"]["enum"] = list(languages)
        if "agent" in schema["properties"] and agents:
            schema["properties"]["agent"]["enum"] = list(agents)
        for option in schema["properties"]["timeout_seconds"]["anyOf"]:
            if option["type"] == "number":
                option["maximum"] = maximum_timeout_seconds
        forms.append(schema)
    return {"oneOf": forms}
