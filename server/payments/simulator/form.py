"""Form-encoded requests with nested keys (`metadata[order]=7`, `types[0]=a`) into checked values.

Each call states the shape that it takes: a name and a reader for each parameter. What is not in the shape
is refused with `parameter_unknown`, as Stripe does, so that a typing slip in the shop shows in its tests.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from server.payments.simulator.errors import InvalidRequest

Raw = Any  # str, or a dict of Raw by key
Reader = Callable[[Raw, str], Any]
Shape = Mapping[str, Reader]
Params = dict[str, Any]

_MAX_FIELDS = 1_000
_MAX_DEPTH = 6
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def decode(encoded: str) -> dict[str, Raw]:
    """The nested dictionary of a query or form body. List keys stay `"0"`, `"1"`… or `""` until read."""
    tree: dict[str, Raw] = {}
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise InvalidRequest(f"The request's form is not valid: {error}.", code="invalid_form") from None
    for key, value in pairs:
        _place(tree, _path(key), value)
    return tree


def _path(key: str) -> list[str]:
    match = _KEY.fullmatch(key)
    if not match:
        raise InvalidRequest(f"Invalid parameter name: {key[:80]}", code="parameter_unknown", param=key[:80])
    steps = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    if len(steps) > _MAX_DEPTH:
        raise InvalidRequest(f"Nested too deep: {key[:80]}", code="parameter_unknown", param=key[:80])
    return steps


def _place(tree: dict[str, Raw], path: list[str], value: str) -> None:
    node = tree
    for step in path[:-1]:
        node = node.setdefault(step or str(len(node)), {})
        if not isinstance(node, dict):
            raise InvalidRequest(f"{path[0]} is both a value and a hash.", param=path[0])
    node[path[-1] or str(len(node))] = value


def read(raw: Mapping[str, Raw], shape: Shape, required: tuple[str, ...] = ()) -> Params:
    """The parameters, typed. Errors: parameter_unknown, parameter_missing, parameter_invalid_*."""
    values = _read_hash(raw, shape, "")
    for name in required:
        if values.get(name) in (None, ""):
            raise InvalidRequest(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return values


def _read_hash(raw: Mapping[str, Raw], shape: Shape, prefix: str) -> Params:
    values = {}
    for name, value in raw.items():
        path = f"{prefix}[{name}]" if prefix else name
        if name not in shape:
            raise InvalidRequest(f"Received unknown parameter: {path}", code="parameter_unknown", param=path)
        values[name] = shape[name](value, path)
    return values


def text(value: Raw, path: str) -> str:
    """A string of at most 5,000 characters."""
    if not isinstance(value, str):
        raise InvalidRequest(f"Invalid string: {path}", code="parameter_invalid_string", param=path)
    if len(value) > 5_000:
        raise InvalidRequest(f"{path} is too long.", code="parameter_invalid_string", param=path)
    return value


def integer(value: Raw, path: str) -> int:
    """A whole number, nothing else (`10.0` and `1e3` are refused)."""
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise InvalidRequest(f"Invalid integer: {path}", code="parameter_invalid_integer", param=path)
    return int(value)


def boolean(value: Raw, path: str) -> bool:
    """`true` or `false`."""
    if value not in ("true", "false"):
        raise InvalidRequest(f"Invalid boolean: {path}", code="parameter_invalid_boolean", param=path)
    return bool(value == "true")


def currency(value: Raw, path: str) -> str:
    """A three-letter code, lower case in answers."""
    code = text(value, path).lower()
    if not re.fullmatch(r"[a-z]{3}", code):
        raise InvalidRequest(f"Invalid currency: {code[:20]}.", code="invalid_currency", param=path)
    return code


def choice(*options: str) -> Reader:
    """One of the options."""

    def read_choice(value: Raw, path: str) -> str:
        if value not in options:
            raise InvalidRequest(f"Invalid {path}: must be one of {', '.join(options)}", param=path)
        return str(value)

    return read_choice


def listing(item: Reader) -> Reader:
    """A list, from `name[0]`, `name[1]`… or `name[]`."""

    def read_list(value: Raw, path: str) -> list[Any]:
        if not isinstance(value, dict) or not all(key.isascii() and key.isdigit() for key in value):
            raise InvalidRequest(f"Invalid array: {path}", code="parameter_invalid_array", param=path)
        ordered = sorted(value, key=int)
        return [item(value[key], f"{path}[{key}]") for key in ordered]

    return read_list


def nested(shape: Shape) -> Reader:
    """A hash with a shape of its own."""

    def read_nested(value: Raw, path: str) -> Params:
        if not isinstance(value, dict):
            raise InvalidRequest(f"Invalid object: {path}", code="parameter_invalid_object", param=path)
        return _read_hash(value, shape, path)

    return read_nested


def metadata(value: Raw, path: str) -> dict[str, str]:
    """At most 50 keys of 40 characters, values of 500; an empty string for all means: clear."""
    if value == "":
        return {}
    if not isinstance(value, dict) or len(value) > 50:
        raise InvalidRequest("Metadata takes up to 50 key-value pairs.", param=path)
    for key, entry in value.items():
        if not isinstance(entry, str) or len(key) > 40 or len(entry) > 500:
            raise InvalidRequest(
                f"Metadata keys hold up to 40 characters, values up to 500: {key[:60]}",
                param=f"{path}[{key[:40]}]",
            )
    return dict(value)


def created(value: Raw, path: str) -> dict[str, int]:
    """A time or a range of times: `created=1` or `created[gte]=1`."""
    if isinstance(value, str):
        at = integer(value, path)
        return {"gte": at, "lte": at}
    bounds: dict[str, int] = nested({"gt": integer, "gte": integer, "lt": integer, "lte": integer})(
        value, path
    )
    return bounds
