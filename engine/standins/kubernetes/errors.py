"""The API server's refusals as a user reads them: its own words, then what to do."""

from collections.abc import Mapping
from typing import Any

from engine.standins.kubernetes.api import ApiError
from engine.standins.kubernetes.objects import described

_CONFLICT_HELP = (
    "https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/"
    "#handle-field-conflicts-on-existing-resources"
)


def explained(error: ApiError, thing: Mapping[str, Any], manager: str) -> str:
    """Why the server did not take an object."""
    what = described(thing)
    if error.code == 409 and any(cause.get("reason") == "FieldManagerConflict" for cause in error.causes):
        return (
            f"{what}: server-side apply field conflict detected, see {_CONFLICT_HELP} for troubleshooting help.\n"
            f'The resource managed by field manager "{manager}" had an apply conflict: {error.message}\n'
            "Leave the field out of the program (or name it in `ignore_changes`) where the other manager is to keep "
            'it, or set the annotation pulumi.com/patchForce: "true" to take it over.'
        )
    if error.missing_namespace:
        return f"{what}: {error.message}. Declare the namespace, and let the resource depend on it."
    if error.code == 404:
        return unknown_kind(thing)
    if error.code == 422 and ("immutable" in error.message or "may not be changed" in error.message):
        return (
            f"{what}: {error.message}\nThe field cannot be changed in place: replace the resource with "
            "`pulumi up --replace <urn>` and `delete_before_replace`, or undo the change."
        )
    if error.code == 403 and error.reason == "Forbidden" and "exceeded quota" not in error.message:
        return f"{what}: the cluster does not allow it: {error.message}"
    return f"{what}: {error.message}"


def unknown_kind(thing: Mapping[str, Any]) -> str:
    """What to do about a kind that the server does not have."""
    return (
        f"{described(thing)}: the API server has no {thing.get('kind')} in {thing.get('apiVersion')}. Verify that its "
        "CustomResourceDefinition is installed; where this program declares it, let the resource depend on it."
    )


def exists_already(thing: Mapping[str, Any]) -> str:
    """Why an object that is there already is not created, in the official provider's sense."""
    return (
        f"{described(thing)} already exists in the cluster, and this stack did not create it. Choose one:\n"
        "  - another name, or remove the object;\n"
        "  - `pulumi import`, to adopt it; a renamed resource keeps its object by an `alias`;\n"
        f"  - a {thing.get('kind')}Patch resource, to manage some of its fields only;\n"
        "  - `upsert_existing_objects` on the provider, to take over whatever exists."
    )
