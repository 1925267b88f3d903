"""`aws.iam.get_policy_document`, computed as the official provider does.

Semantics from terraform-provider-aws, internal/service/iam/policy_document_data_source.go and policy_model.go: lists of
one become strings, longer ones are sorted in reverse, `&{...}` stands for IAM's own `${...}` variables, statements of
the same sid are merged where documents are combined.
"""

import json
from collections.abc import Mapping
from typing import Any

_LISTS = (
    ("actions", "Action"),
    ("notActions", "NotAction"),
    ("resources", "Resource"),
    ("notResources", "NotResource"),
)
_PRINCIPALS = (("principals", "Principal"), ("notPrincipals", "NotPrincipal"))


def policy_document(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The data source's result for plain arguments."""
    document: dict[str, Any] = {"Version": arguments.get("version") or "2012-10-17"}
    if arguments.get("policyId"):
        document["Id"] = arguments["policyId"]
    statements: list[dict[str, Any]] = []
    for source in arguments.get("sourcePolicyDocuments") or []:
        statements += _parsed(source)
    statements = _merged(statements, [_statement(item) for item in arguments.get("statements") or []])
    for override in arguments.get("overridePolicyDocuments") or []:
        statements = _merged(statements, _parsed(override))
    document["Statement"] = statements
    text = json.dumps(document, indent=2)
    return {
        **arguments,
        "id": str(sum(text.encode())),
        "json": text,
        "minifiedJson": json.dumps(document, separators=(",", ":")),
        "version": document["Version"],
    }


def _statement(given: Mapping[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {}
    if given.get("sid"):
        statement["Sid"] = given["sid"]
    statement["Effect"] = given.get("effect") or "Allow"
    for name, key in _LISTS:
        if given.get(name):
            statement[key] = _collapsed(given[name])
    for name, key in _PRINCIPALS:
        if given.get(name):
            statement[key] = _principals(given[name])
    if given.get("conditions"):
        statement["Condition"] = _conditions(given["conditions"])
    return statement


def _principals(given: list[Mapping[str, Any]]) -> Any:
    if len(given) == 1 and given[0]["type"] == "*" and list(given[0]["identifiers"]) == ["*"]:
        return "*"
    gathered: dict[str, list[str]] = {}
    for item in given:
        gathered.setdefault(item["type"], []).extend(item["identifiers"])
    return {kind: _collapsed(identifiers) for kind, identifiers in sorted(gathered.items())}


def _conditions(given: list[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    gathered: dict[str, dict[str, list[str]]] = {}
    for item in given:
        # The order of a condition's values is kept.
        gathered.setdefault(item["test"], {}).setdefault(_variables(item["variable"]), []).extend(
            map(_variables, item["values"])
        )
    return {
        test: {variable: values[0] if len(values) == 1 else values for variable, values in sorted(variables.items())}
        for test, variables in sorted(gathered.items())
    }


def _collapsed(values: list[str]) -> Any:
    texts = sorted({_variables(value) for value in values}, reverse=True)
    return texts[0] if len(texts) == 1 else texts


def _variables(text: str) -> str:
    return text.replace("&{", "${")


def _parsed(text: str) -> list[dict[str, Any]]:
    statements = json.loads(text).get("Statement", [])
    return [statements] if isinstance(statements, dict) else list(statements)


def _merged(base: list[dict[str, Any]], added: list[dict[str, Any]]) -> list[dict[str, Any]]:
    result = list(base)
    for statement in added:
        sid = statement.get("Sid")
        place = next((index for index, item in enumerate(result) if sid and item.get("Sid") == sid), None)
        if place is None:
            result.append(statement)
        else:
            result[place] = statement
    return result
