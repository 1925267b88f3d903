"""The documents that are made from the settings."""

import json
from pathlib import Path

import yaml
from jsonschema_rs import validator_for
from strategies import EVERY_LEAF

from settings.reference import schema_document, stale

PROJECT = Path(__file__).parent.parent.parent


def test_the_generated_documents_are_fresh() -> None:
    """The reference would describe another version than the one that checks."""
    assert [path.name for path in stale()] == [], "run: .venv/bin/python -m settings.reference --write"


def test_the_reference_names_every_setting() -> None:
    """A setting that is not described cannot be found."""
    text = (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8")
    for path in EVERY_LEAF:
        assert f"| `{path[-1]}` |" in text


def test_every_stack_file_keeps_to_the_schema() -> None:
    """An editor would mark what the project itself ships."""
    validator = validator_for(json.loads(schema_document()))
    files = sorted(PROJECT.glob("Pulumi.*.yaml"))
    assert {"Pulumi.local.yaml", "Pulumi.dev.yaml", "Pulumi.staging.yaml", "Pulumi.prod.yaml"} <= {
        each.name for each in files
    }
    for each in files:
        assert [str(error) for error in validator.iter_errors(yaml.safe_load(each.read_text(encoding="utf-8")))] == []
