"""CloudWatch's metric math, as far as the policies of worker hosts use it: the deployed expressions, computed here.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html. Only one value for each
metric, as the last of its period; a metric without one is None, and an expression over it is None unless FILL replaces
it.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping

Value = float | None

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "CEIL": math.ceil,
    "FLOOR": math.floor,
}


class ExpressionError(Exception):
    """An expression has something that is not computed here."""


def evaluate(expression: str, metrics: Mapping[str, Value]) -> Value:
    """Compute an expression; raises ExpressionError where it uses what is not known here."""
    try:
        # The grammar is Python's but for the words of its logic.
        tree = ast.parse(expression.replace(" AND ", " and ").replace(" OR ", " or ").strip(), mode="eval")
    except SyntaxError as error:
        raise ExpressionError(f"{expression!r} cannot be read: {error.msg}") from None
    return _value(tree.body, metrics)


def _value(node: ast.expr, metrics: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            if name not in metrics:
                raise ExpressionError(f"there is no metric {name!r}; there are {', '.join(sorted(metrics))}")
            return metrics[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _value(operand, metrics)
            return None if value is None else -value
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _OPERATORS:
            return _both(_OPERATORS[type(kind)], _value(left, metrics), _value(right, metrics))
        case ast.Compare(left=left, ops=[kind], comparators=[right]) if type(kind) in _COMPARISONS:
            return _both(_COMPARISONS[type(kind)], _value(left, metrics), _value(right, metrics))
        case ast.BoolOp(op=kind, values=parts):
            values = [_value(part, metrics) for part in parts]
            if None in values:
                return None
            return float(all(values) if isinstance(kind, ast.And) else any(values))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, arguments, metrics)
        case _:
            raise ExpressionError(f"{ast.unparse(node)!r} is not computed here")


def _both(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if left is None or right is None:
        return None
    try:
        return float(function(left, right))
    except ZeroDivisionError:
        # CloudWatch has no data point then.
        return None


def _call(name: str, arguments: list[ast.expr], metrics: Mapping[str, Value]) -> Value:
    if name == "IF":
        condition, then, *otherwise = arguments
        decided = _value(condition, metrics)
        if decided is None:
            return None
        chosen = then if decided else (otherwise[0] if otherwise else None)
        return None if chosen is None else _value(chosen, metrics)
    if name == "FILL":
        value = _value(arguments[0], metrics)
        return _value(arguments[1], metrics) if value is None else value
    if name not in _FUNCTIONS:
        raise ExpressionError(f"{name} is not computed here")
    value = _value(arguments[0], metrics)
    return None if value is None else float(_FUNCTIONS[name](value))
