"""The routes as an OpenAPI 3.1 document, made from the same table that serves them."""

import re
from collections.abc import Sequence
from typing import Any

from runtime.versions import release
from runtime.web.answers import ERROR, REFUSED
from runtime.web.desk import MOST_INTEGER, MOST_NUMBER, SHOWN, Field, Route

KINDS = {str: "string", int: "integer", float: "number"}


def document_of(routes: Sequence[Route], cookie: str) -> dict[str, Any]:
    """An OpenAPI 3.1 document; sessions are in a cookie of that name."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = re.sub(r":\w+\}", "}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    schemes = {
        "session": {"type": "apiKey", "in": "cookie", "name": cookie, "description": "of POST /api/login"},
        "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token", "description": "csrf of GET /api/session"},
        "token": {"type": "http", "scheme": "bearer", "description": "token= of --serve, for /metrics"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Proctor's live page", "version": release()},
        "paths": paths,
        "components": {"securitySchemes": schemes, "schemas": {"Error": REFUSED}},
    }


def _operation(route: Route) -> dict[str, Any]:
    role = "" if route.role is None else f" Takes the role {route.role.word}."
    found: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-z]+', '_', route.path)}".rstrip("_"),
        "summary": f"{route.summary[0].upper()}{route.summary[1:]}.{role}",
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "integer", "minimum": 0} if kind == ":int" else {"type": "string", "minLength": 1},
            }
            for name, kind in re.findall(r"\{(\w+)(:\w+)?\}", route.path)
        ],
        "responses": {
            "200": _answer("done", route.answer, route.gives),
            **{str(status): _answer(*each) for status, each in route.also.items()},
            "4XX": _answer("why not", ERROR),
        },
        "security": _security(route),
    }
    if route.method == "POST":
        required = [name for name, each in route.takes.items() if each.required]
        schema = {
            "type": "object",
            "properties": {name: _schema(each) for name, each in route.takes.items()},
            "required": required,
            "additionalProperties": False,
        }
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    else:
        found["parameters"] += [
            {"name": name, "in": "query", "required": each.required, "schema": _schema(each)}
            for name, each in route.takes.items()
        ]
    return found


def _answer(when: str, schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"description": when, "content": {kind: {"schema": schema} if schema else {}}}


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.method == "POST":
        return [{"session": [], "csrf": []}]
    if route.role is None:
        return []
    found: list[dict[str, list[str]]] = [{"session": []}]
    return [*found, {"token": []}] if route.path == "/metrics" else found


def _schema(each: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"type": KINDS[each.kind], "description": each.meaning}
    if each.kind is str:
        found |= {"maxLength": each.most, "pattern": SHOWN}
    elif each.kind is int:
        found |= {"minimum": -MOST_INTEGER, "maximum": MOST_INTEGER}
    else:
        found |= {"exclusiveMinimum": -MOST_NUMBER, "exclusiveMaximum": MOST_NUMBER}
    if each.choices:
        found["enum"] = list(each.choices)
    return found
