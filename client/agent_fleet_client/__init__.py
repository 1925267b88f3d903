"""Runs jobs on an agent-fleet: `Fleet(url, key).run("print(6 * 7)").stdout`."""

from agent_fleet_client.errors import (
    AnswerError,
    FieldProblem,
    FleetError,
    InvalidJobError,
    RefusedError,
    UnreachableError,
)
from agent_fleet_client.fleet import Fleet
from agent_fleet_client.jobs import Job
from agent_fleet_client.live_output import LiveEvent, OutputEnd, OutputPart, OutputVoid, StateSeen
from agent_fleet_client.results import JobError, JobSummary, Result, Usage

__all__ = [
    "AnswerError",
    "FieldProblem",
    "Fleet",
    "FleetError",
    "InvalidJobError",
    "Job",
    "JobError",
    "JobSummary",
    "LiveEvent",
    "OutputEnd",
    "OutputPart",
    "OutputVoid",
    "RefusedError",
    "Result",
    "StateSeen",
    "UnreachableError",
    "Usage",
]
