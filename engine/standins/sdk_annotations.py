"""The shapes that the SDKs' type annotations describe, read from their text."""

import ast
import functools
from dataclasses import dataclass
from enum import Enum

_SCALARS = {"str": "string", "bool": "boolean", "int": "integer", "float": "number"}


class ShapeKind(Enum):
    """What a value may be."""

    SCALAR = "scalar"
    LIST = "list"
    MAP = "map"
    NAMED = "named"
    ASSET = "asset"
    UNION = "union"
    LITERAL = "literal"
    ANY = "any"


@dataclass(frozen=True)
class Shape:
    """A type: `name` is the scalar's or the nested type's, `parts` the element or the members of a union."""

    kind: ShapeKind
    name: str = ""
    parts: tuple["Shape", ...] = ()


ANY = Shape(ShapeKind.ANY)


@functools.cache
def parse(annotation: str) -> tuple[Shape, bool]:
    """The shape of an annotation such as `pulumi.Input[Optional[Sequence['XArgs']]]`, and whether it is optional."""
    try:
        return _read(ast.parse(annotation, mode="eval").body)
    except SyntaxError:
        return ANY, True


def qualified(shape: Shape, home: str) -> Shape:
    """The shape with its nested types named from the SDK's root on: `home` is the module that it was written in.

    `XArgs` in module `apps.v1` is `apps.v1.XArgs`; `_core.v1.XArgs` names another module already.
    """
    name = shape.name
    if shape.kind is ShapeKind.NAMED:
        name = name.removeprefix("_") if "." in name else f"{home}.{name}" if home else name
    return Shape(shape.kind, name, tuple(qualified(part, home) for part in shape.parts))


def _read(node: ast.expr) -> tuple[Shape, bool]:
    match node:
        case ast.Constant(value=str(text)):
            if text.startswith(("pulumi.", "_builtins.")):
                return parse(text)
            return Shape(ShapeKind.NAMED, text), False
        case ast.Name() | ast.Attribute():
            return _read_name(ast.unparse(node)), False
        case ast.Subscript():
            return _read_generic(ast.unparse(node.value), node.slice)
        case _:
            return ANY, True


def _read_name(name: str) -> Shape:
    short = name.rpartition(".")[2]
    if short in _SCALARS:
        return Shape(ShapeKind.SCALAR, _SCALARS[short])
    if short in ("Asset", "Archive"):
        return Shape(ShapeKind.ASSET, short)
    return ANY


def _read_generic(name: str, inner: ast.expr) -> tuple[Shape, bool]:
    short = name.rpartition(".")[2]
    if short in ("Input", "Output"):
        return _read(inner)
    if short == "Optional":
        return _read(inner)[0], True
    if short == "Sequence":
        return Shape(ShapeKind.LIST, parts=(_read(inner)[0],)), False
    if short == "Mapping" and isinstance(inner, ast.Tuple):
        return Shape(ShapeKind.MAP, parts=(_read(inner.elts[1])[0],)), False
    if short == "Literal":
        values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        texts = tuple(Shape(ShapeKind.LITERAL, str(ast.literal_eval(value))) for value in values)
        return Shape(ShapeKind.UNION, parts=texts), False
    if short == "Union" and isinstance(inner, ast.Tuple):
        members = [_read(item) for item in inner.elts]
        # A dictionary form (`XArgsDict`) describes the same value as its class.
        shapes = [shape for shape, _ in members if not shape.name.endswith("ArgsDict")]
        optional = any(is_optional for _, is_optional in members)
        return (shapes[0] if len(shapes) == 1 else Shape(ShapeKind.UNION, parts=tuple(shapes))), optional
    return ANY, False
