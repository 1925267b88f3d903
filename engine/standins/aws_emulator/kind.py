"""What is known of one resource type: which calls make, show, change and remove it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Keys = Mapping[str, str]
"""API parameters by name, and the property that each takes its value from; `id` is the resource's id."""
NO_KEYS: Keys = {}
Act = Callable[[Any, Mapping[str, Any]], Any]
"""A call that no table can say: of a client and the plain inputs (after the create with `id` among them)."""


@dataclass(frozen=True)
class Step:
    """One call beside create: after it, on a change, or both."""

    operation: str
    keys: Keys
    properties: tuple[str, ...]
    """The inputs that it carries. Without any of them it is not made; on an update, without a change of any."""
    names: Keys = field(default_factory=lambda: NO_KEYS)
    """Properties whose parameter has another name; `Attributes.X` is a key of a map."""
    one_by_one: bool = False
    """One call for each property: the API takes no two."""
    on_create: bool = True
    constants: Mapping[str, Any] = field(default_factory=dict[str, Any])
    to_list: str = ""
    """The parameter that the carried value is wrapped in, as a list of one."""


@dataclass(frozen=True)
class Tagging:
    """How tags of an existing resource change."""

    add: str
    remove: str
    keys: Keys


@dataclass(frozen=True)
class Kind:
    """One resource type."""

    service: str
    create: str | Act
    identity: str = ""
    """Where the answer to the create has the id (JMESPath); empty: it is made of the inputs, as everywhere."""
    names: Keys = field(default_factory=lambda: NO_KEYS)
    """Inputs whose parameter has another name; `Attributes.X` is a key of a map, empty an input that goes elsewhere."""
    constants: Mapping[str, Any] = field(default_factory=dict[str, Any])
    wrap: str = ""
    """The parameter in which everything stands that is no parameter itself."""
    tag_type: str = ""
    """EC2's name of the type, for the tags of a create."""
    read: str | Act = ""
    """A call of its own returns what was found, or None."""
    read_keys: Keys = field(default_factory=lambda: NO_KEYS)
    read_constants: Mapping[str, Any] = field(default_factory=dict[str, Any])
    found: str = ""
    """Where the answer to the read has the resource; nothing there: it is gone."""
    outputs: Keys = field(default_factory=lambda: NO_KEYS)
    """Outputs whose name in the found resource differs (JMESPath)."""
    delete: str | Act = ""
    delete_keys: Keys = field(default_factory=lambda: NO_KEYS)
    delete_constants: Mapping[str, Any] = field(default_factory=dict[str, Any])
    steps: tuple[Step, ...] = ()
    put: bool = False
    """Whether the create's call also changes what is there."""
    tagging: Tagging | None = None
    after: Act | None = None
    """A last call after the create and after a change."""
    on_change: Act | None = None
    """A call for any change, which is told the inputs that changed as `__changed`."""
