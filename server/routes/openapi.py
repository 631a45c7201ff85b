"""The OpenAPI 3.1 document, generated from the same rows and structs that serve the requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from server.problems import KINDS
from server.routes.operation import MACHINE, Operation

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_REF = "#/components/schemas/{name}"


def document(operations: Sequence[Operation], title: str = "Hawker") -> dict[str, Any]:
    shown = [operation for operation in operations if operation.method != "OPTIONS"]
    kinds = [kind for op in shown for kind in (op.query, op.body, op.returns) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in shown:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, components, schema_of)
    for kind in {op.query for op in shown if op.query}:
        components.pop(kind.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _problem()},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "hawker_session"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(operation: Operation, components: dict[str, Any], schema_of: dict[Any, Any]) -> dict[str, Any]:
    path = _PARAMETER.sub(r"\1", operation.path)
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{operation.method} {path}".lower()).strip("_"),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation, components)],
        "responses": {**_success(operation, schema_of), **_problems(operation)},
    }
    if operation.access.signed_in:
        described["security"] = [{"session": []}]
    elif operation.access is MACHINE:
        described["security"] = [{}, {"bearer": []}]
    if operation.body or operation.upload:
        described["requestBody"] = {"required": True, "content": _body(operation, schema_of)}
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _convertor_schema(convertor)}
        for name, convertor in _PARAMETER.findall(operation.path)
    ]


def _convertor_schema(convertor: str) -> dict[str, Any]:
    if convertor == "uuid":
        return {"type": "string", "format": "uuid"}
    return {"type": "integer", "minimum": 0} if convertor == "int" else {"type": "string", "minLength": 1}


def _query_parameters(operation: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = components[operation.query.__name__]
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": field}
        for name, field in schema["properties"].items()
    ]


def _body(operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    if operation.upload:
        binary = {"schema": {"type": "string", "format": "binary"}}
        return dict.fromkeys(operation.upload.content_types, binary)
    return {"application/json": {"schema": schema_of[operation.body]}}


def _success(operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": operation.summary}
    if operation.returns:
        answer["content"] = {operation.media_type: {"schema": schema_of[operation.returns]}}
    elif operation.media_type != "application/json":
        answer["content"] = {operation.media_type: {"schema": {"type": "string"}}}
    return {str(operation.status): answer}


def _problems(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in operation.all_errors:
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {KINDS[code].title}" for code in codes),
            "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
        for status, codes in sorted(by_status.items())
    }


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457. `code` is stable; `what_to_do` is for people.",
        "required": ["type", "title", "status", "code", "detail", "what_to_do"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": sorted(KINDS)},
            "detail": text,
            "what_to_do": text,
            "fields": {"type": "object", "additionalProperties": text},
            "retry_after_s": {"type": "integer"},
        },
    }
