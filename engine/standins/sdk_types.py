"""The resource types of the installed Pulumi SDKs: their inputs, outputs and nested types.

The SDKs' modules are read as text, not imported: importing pulumi_aws.ec2 alone costs half a second, and a provider
needs a handful of types. The generated modules have one shape (pulumi-language-python), which these readers rely on:
`class <Name>Args` with a keyword-only constructor, a `pulumi.getter` per property that carries the wire name, nested
types in `_inputs.py`, enums in `_enums.py`, and the resource class last in its module.
"""

import difflib
import functools
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

from engine.standins import sdk_annotations as annotations
from engine.standins.sdk_annotations import Shape

_GETTER = re.compile(
    r'@pulumi\.getter(?:\(name="([^"]+)"\))?\n'
    r"(?:    @_utilities\.deprecated\(.*\)\n)?"
    r"    def (\w+)\(self\) -> (.+):\n"
)
_SIGNATURE = re.compile(r"def __init__\(__self__(?:, \*)?,?(.*?)\):\n", re.DOTALL)
_PARAMETER = re.compile(r"^\s*(\w+): (.+?)(?: = None)?,?$", re.MULTILINE)
_SECRET_OUTPUTS = re.compile(r"additional_secret_outputs=\[([^\]]*)\]")


@dataclass(frozen=True)
class Property:
    """One input or output, by its wire name (`cpuShares`) and its Python name (`cpu_shares`)."""

    name: str
    python_name: str
    shape: Shape
    optional: bool


@dataclass(frozen=True)
class ObjectType:
    """A nested input type: its properties by wire name."""

    name: str
    properties: dict[str, Property]


@dataclass(frozen=True)
class ResourceType:
    """A resource type: inputs and outputs by wire name, and where to look its nested types up."""

    token: str
    module: Path
    inputs: dict[str, Property]
    outputs: dict[str, Property]
    secret_outputs: frozenset[str]

    @property
    def package(self) -> str:
        """The package that the type is of."""
        return self.token.partition(":")[0]

    def nested(self, name: str) -> ObjectType | None:
        """The nested input type that a shape names (`core.v1.PodSpecArgs`)."""
        return _nested(self.package, name)

    def enum_values(self, name: str) -> tuple[str, ...] | None:
        """The values of an enum that a shape names."""
        return _enum(self.package, name)


def python_package(package: str) -> str:
    """`docker-build` is `pulumi_docker_build` in Python."""
    return f"pulumi_{package.replace('-', '_')}"


@functools.cache
def sdk_folder(package: str) -> Path:
    """Where the SDK of `package` is installed; ends the process with the remedy when it is not."""
    spec = importlib.util.find_spec(python_package(package))
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{python_package(package)} is not installed in this environment: run `uv sync`.")
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def sdk_version(package: str) -> str:
    """The version of the installed SDK of `package`."""
    return str(json.loads((sdk_folder(package) / "pulumi-plugin.json").read_text())["version"])


@functools.cache
def resource_type(token: str) -> ResourceType | None:
    """The type with this token (`docker:index/container:Container`), or None when the SDK has none."""
    module = _module(token)
    if module is None or not module.is_file():
        return None
    text = module.read_text()
    class_name = token.rpartition(":")[2]
    if f"'{token}'" not in text or f"\nclass {class_name}(pulumi.CustomResource)" not in text:
        return None
    own = _class_text(text, class_name) or ""
    arguments = _class_text(text, f"{class_name}Args") or _class_text(text, f"{class_name}InitArgs") or ""
    secret = _SECRET_OUTPUTS.search(own)
    home = _module_name(token.partition(":")[0], module.parent)
    return ResourceType(
        token,
        module,
        inputs=_properties(arguments, home),
        outputs={name: Property(name, python, shape, optional) for name, python, shape, optional in _getters(own)},
        secret_outputs=frozenset(re.findall(r'"([^"]+)"', secret.group(1))) if secret else frozenset(),
    )


@functools.cache
def provider_settings(package: str) -> dict[str, Property]:
    """The settings that the package's explicit provider takes, by wire name."""
    path = sdk_folder(package) / "provider.py"
    return _properties(_class_text(path.read_text(), "ProviderArgs") or "", "") if path.is_file() else {}


def unknown_type_message(token: str) -> str:
    """Why a token names no type, with the nearest names that do."""
    package = token.partition(":")[0]
    folder = _folder(token)
    known: list[str] = []
    for path in sorted(folder.glob("[a-z]*.py")):
        known += (
            re.findall(rf"'({re.escape(package)}:[\w/.]+:\w+)'", path.read_text()) if path.stem != "outputs" else []
        )
    near = difflib.get_close_matches(token, sorted(set(known)), n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"{token} is no resource type of {python_package(package)} {sdk_version(package)}.{hint}"


def _folder(token: str) -> Path:
    package, _, rest = token.partition(":")
    group = re.split("[/:]", rest)[0]
    folder = sdk_folder(package)
    # A service whose name is a Python keyword has an underscore in its folder's name (`lambda_`).
    return next((path for name in (group, f"{group}_") if (path := folder / name).is_dir()), folder)


def _module(token: str) -> Path | None:
    package, _, rest = token.partition(":")
    path, _, class_name = rest.rpartition(":")
    if package == "kubernetes":
        # `rbac.authorization.k8s.io/v1` stands in `rbac/v1`.
        group, _, version = path.partition("/")
        return sdk_folder(package) / group.partition(".")[0] / version / f"{class_name}.py"
    wanted = class_name.lower()
    return next((item for item in sorted(_folder(token).glob("*.py")) if item.stem.replace("_", "") == wanted), None)


def _class_text(text: str, name: str) -> str | None:
    start = max(text.find(f"\nclass {name}:"), text.find(f"\nclass {name}("))
    if start < 0:
        return None
    ends = [end for mark in ("\nclass ", "\n@pulumi.") if (end := text.find(mark, start + 1)) > 0]
    return text[start : min(ends)] if ends else text[start:]


def _getters(text: str) -> list[tuple[str, str, Shape, bool]]:
    found: list[tuple[str, str, Shape, bool]] = []
    for wire, python, annotation in _GETTER.findall(text):
        shape, optional = annotations.parse(annotation)
        found.append((wire or python, python, shape, optional))
    return found


def _properties(text: str, home: str) -> dict[str, Property]:
    signature = _SIGNATURE.search(text)
    if signature is None:
        return {}
    wire_names = {python: wire or python for wire, python, _ in _GETTER.findall(text)}
    found: dict[str, Property] = {}
    for parameter in _PARAMETER.finditer(signature.group(1)):
        python, annotation = parameter.group(1), parameter.group(2)
        shape, optional = annotations.parse(annotation)
        shape = annotations.qualified(shape, home)
        wire = wire_names.get(python, python)
        found[wire] = Property(wire, python, shape, optional or " = None" in parameter.group(0))
    return found


@functools.cache
def _source(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _module_name(package: str, folder: Path) -> str:
    return ".".join(folder.relative_to(sdk_folder(package)).parts)


def _text_of(package: str, name: str, file: str) -> str | None:
    """The text of a class by its name from the SDK's root on (`core.v1.PodSpecArgs`)."""
    *modules, class_name = name.split(".")
    return _class_text(_source(sdk_folder(package).joinpath(*modules) / file), class_name)


@functools.cache
def _nested(package: str, name: str) -> ObjectType | None:
    text = _text_of(package, name, "_inputs.py")
    home, _, class_name = name.rpartition(".")
    return None if text is None else ObjectType(class_name, _properties(text, home))


@functools.cache
def _enum(package: str, name: str) -> tuple[str, ...] | None:
    text = _text_of(package, name, "_enums.py")
    return None if text is None else tuple(re.findall(r'^    \w+ = "([^"]*)"$', text, re.MULTILINE))
