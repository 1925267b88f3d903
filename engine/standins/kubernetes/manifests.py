"""What YAML manifests hold, for the SDK's ConfigFile and ConfigGroup (`kubernetes:yaml:decode`)."""

from typing import Any, cast

from engine.standins.standin import OperationError


def decode(text: str, namespace: str) -> list[dict[str, Any]]:
    """The objects in a manifest, lists taken apart; those without a namespace get `namespace` when it is given."""
    import yaml

    try:
        documents: list[Any] = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise OperationError(f"text: is no YAML: {error}") from None
    found: list[dict[str, Any]] = []
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict) or "kind" not in document or "apiVersion" not in document:
            raise OperationError("text: each document must be an object with `apiVersion` and `kind`.")
        thing = cast(dict[str, Any], document)
        items: list[dict[str, Any]] = thing["items"] if str(thing["kind"]).endswith("List") else [thing]
        for item in items:
            if namespace:
                item["metadata"] = {**(item.get("metadata") or {}), "namespace": namespace}
            found.append(item)
    return found
