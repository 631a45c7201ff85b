"""The API against its own description: generated requests find no crash and no undocumented answer.

HAWKER_CONTRACT_EXAMPLES asks for more than the few examples an operation gets in every run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import hypothesis
import msgspec
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from redis.asyncio import Redis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server.routes import openapi
from server.routes.app import OPERATIONS

from .conftest import Web
from .test_catalogue import add_product
from .test_staff import plan

EXAMPLES = int(os.environ.get("HAWKER_CONTRACT_EXAMPLES", "3"))
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ENDS_THE_SESSION = {"/api/auth/sign-out", "/api/auth/sign-in", "/api/auth/sign-up"}
EXPECTED = {503, 507}  # nothing is behind the payment provider, and no media node

SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES < 50,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


async def test_the_api_does_what_its_description_says(web: Web, redis: Redis) -> None:
    owner = await web.signed_in("owner")
    producer = await web.signed_in("producer")
    ids = {"product": (await add_product(producer))["id"], "show": (await plan(producer))["id"]}
    loop = asyncio.get_running_loop()

    async def send(prepared: requests.PreparedRequest) -> httpx.Response:
        await redis.flushdb()  # rate limits
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        headers = {k: v for k, v in prepared.headers.items() if k.lower() not in ("cookie", "content-length")}
        async with web.browser() as browser:
            browser.cookies = owner.cookies
            request = browser.build_request(
                prepared.method or "", prepared.url or "", headers={**headers, "x-hawker": "1"}, content=body
            )
            return await browser.send(request)

    def wait(work: Awaitable[httpx.Response]) -> httpx.Response:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)  # type: ignore[arg-type]

    await asyncio.to_thread(_every_operation, lambda prepared: wait(send(prepared)), ids)


def _every_operation(send: Callable[[requests.PreparedRequest], httpx.Response], ids: dict[str, str]) -> None:
    described = msgspec.json.decode(msgspec.json.encode(openapi.document(OPERATIONS)))
    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url="http://shop.test")
    failures = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path not in ENDS_THE_SESSION:
            try:
                _one_operation(operation, send, ids)
            except (AssertionError, BaseExceptionGroup) as failure:
                failures.append(f"{operation.method} {operation.path}\n{failure}")
    assert not failures, "\n\n".join(failures)


def _one_operation(operation: Any, send: Any, ids: dict[str, str]) -> None:
    known = ids["show"] if "/shows/" in operation.path else ids["product"]

    @SETTINGS
    @hypothesis.given(case=operation.as_strategy())
    def check(case: Any) -> None:
        if "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = known
        prepared = requests.Request(**case.as_transport_kwargs(base_url="http://shop.test")).prepare()
        response = send(prepared)
        said = f"{prepared.method} {prepared.url} {prepared.body!r} → {response.status_code} {response.text}"
        assert response.status_code < 500 or response.status_code in EXPECTED, said
        case.validate_response(response, checks=CHECKS[1:])

    check()
