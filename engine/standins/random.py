"""The random stand-in: really random values, kept in state, as the official provider makes them.

Semantics from terraform-provider-random (internal/random/string.go, internal/provider/resource_*.go).
"""

import base64
import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from engine.standins.standin import Call, Created, StandIn
from engine.standins.type_check import Failure
from engine.standins.values import UNKNOWN, Secret, reveal

_DIGITS = "0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
_BCRYPT_BYTES = 72  # bcrypt reads no more; the official provider hashes these first bytes too
_BCRYPT_COST = 10  # Go's bcrypt.DefaultCost

_TEXT_TYPES = frozenset({"random:index/randomPassword:RandomPassword", "random:index/randomString:RandomString"})
_CLASSES = ("upper", "lower", "numeric", "special")


class RandomStandIn(StandIn):
    """Serves the resource types of pulumi_random that need no word list and no seed."""

    package = "random"
    notice = "random: this is agent-fleet's stand-in for the official provider. Its values are really random."
    served = _TEXT_TYPES | {
        "random:index/randomBytes:RandomBytes",
        "random:index/randomId:RandomId",
        "random:index/randomInteger:RandomInteger",
        "random:index/randomUuid:RandomUuid",
        "random:index/randomUuid4:RandomUuid4",
    }

    def check(self, call: Call, old: Mapping[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Fill the defaults in, so that writing one out is no change."""
        inputs, failures = super().check(call, old, new)
        if call.token in _TEXT_TYPES and not failures:
            inputs = {**_defaults(inputs), **inputs}
        return inputs, failures

    def validate(self, call: Call, inputs: Mapping[str, Any]) -> list[Failure]:
        """Ranges, as the official provider has them."""
        plain = reveal(inputs)
        if call.token in _TEXT_TYPES:
            return _text_failures(plain)
        failures: list[Failure] = []
        for name in ("length", "byteLength"):
            value = plain.get(name)
            if isinstance(value, int) and value < 1:
                failures.append(Failure(name, f"must be at least 1, not {value}."))
        if plain.get("seed") is not None:
            failures.append(Failure("seed", "is not served by the random stand-in: leave it out."))
        low, high = plain.get("min"), plain.get("max")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            failures.append(Failure("min", f"must not be above max ({high}), not {low}."))
        return failures

    def create(self, call: Call, inputs: Mapping[str, Any]) -> Created:
        """Draw the value."""
        plain = reveal(inputs)
        match call.token.rpartition(":")[2]:
            case "RandomPassword" | "RandomString" as kind:
                return _text(plain, inputs, hashed=kind == "RandomPassword")
            case "RandomBytes":
                value = secrets.token_bytes(plain["length"])
                outputs = {"base64": Secret(base64.b64encode(value).decode()), "hex": Secret(value.hex())}
                return Created("none", {**inputs, **outputs})
            case "RandomId":
                return _id(plain, inputs)
            case "RandomInteger":
                result = plain["min"] + secrets.randbelow(plain["max"] - plain["min"] + 1)
                return Created(str(result), {**inputs, "result": result})
            case _:
                result = str(uuid.uuid4())
                return Created(result, {**inputs, "result": result})


def _text_failures(plain: Mapping[str, Any]) -> list[Failure]:
    failures: list[Failure] = []
    wanted = {name: plain.get(f"min{name.capitalize()}") or 0 for name in _CLASSES}
    length = plain.get("length")
    known = [value for value in wanted.values() if isinstance(value, int)]
    if isinstance(length, int) and length < max(1, sum(known)):
        minimum = max(1, sum(known))
        failures.append(Failure("length", f"must be at least {minimum} (the sum of the minimums), not {length}."))
    if UNKNOWN not in plain.values() and not _alphabet(plain):
        failures.append(Failure("special", "one of upper, lower, numeric and special must be true."))
    return failures


def _defaults(inputs: Mapping[str, Any]) -> dict[str, Any]:
    enabled: dict[str, Any] = {name: _enabled(reveal(inputs), name) for name in _CLASSES}
    return {**enabled, **{f"min{name.capitalize()}": 0 for name in _CLASSES}}


def _enabled(plain: Mapping[str, Any], name: str) -> Any:
    # `number` is the older name of `numeric`.
    value = plain.get("number") if name == "numeric" and plain.get("numeric") is None else plain.get(name)
    return True if value is None else value


def _alphabets(plain: Mapping[str, Any]) -> dict[str, str]:
    special = plain.get("overrideSpecial") or _SPECIAL
    return {"upper": _UPPER, "lower": _LOWER, "numeric": _DIGITS, "special": special}


def _alphabet(plain: Mapping[str, Any]) -> str:
    return "".join(letters for name, letters in _alphabets(plain).items() if _enabled(plain, name))


def _text(plain: Mapping[str, Any], inputs: Mapping[str, Any], *, hashed: bool) -> Created:
    letters: list[str] = []
    for name, alphabet in _alphabets(plain).items():
        letters += [secrets.choice(alphabet) for _ in range(plain.get(f"min{name.capitalize()}") or 0)]
    everything = _alphabet(plain)
    letters += [secrets.choice(everything) for _ in range(plain["length"] - len(letters))]
    secrets.SystemRandom().shuffle(letters)
    result = "".join(letters)
    outputs: dict[str, Any] = {**_defaults(inputs), **inputs}
    outputs["number"] = outputs["numeric"]
    if not hashed:
        return Created(result, {**outputs, "result": result})
    return Created("none", {**outputs, "result": Secret(result), "bcryptHash": Secret(_bcrypt(result))})


def _bcrypt(text: str) -> str:
    import bcrypt  # loaded only when a password is drawn, once in a stack's life

    return bcrypt.hashpw(text.encode()[:_BCRYPT_BYTES], bcrypt.gensalt(_BCRYPT_COST, prefix=b"2a")).decode()


def _id(plain: Mapping[str, Any], inputs: Mapping[str, Any]) -> Created:
    value = secrets.token_bytes(plain["byteLength"])
    prefix = plain.get("prefix") or ""
    identifier = base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    outputs = {
        "b64Url": prefix + identifier,
        "b64Std": prefix + base64.b64encode(value).decode(),
        "hex": prefix + value.hex(),
        "dec": prefix + str(int.from_bytes(value)),
    }
    return Created(identifier, {**inputs, **outputs})


if __name__ == "__main__":
    from engine.standins.server import serve

    serve(RandomStandIn)
