"""What is around the operations: headers, pages, health, numbers, logs, the API's own description."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import structlog
from prometheus_client import CollectorRegistry

from overlay.log import open_redis
from overlay.ports import Refusal
from server import media
from server.config import Settings
from server.problems import KINDS, Problem
from server.routes import errors, openapi
from server.routes.app import OPERATIONS
from server.routes.network import TrustedProxies
from server.routes.security import content_security_policy
from server.store.pool import transaction

from .conftest import Web
from .test_shows import make_show


@pytest.fixture
def dist(web: Web) -> Path:
    """What the build makes: an entry a page, hashed assets, some of it compressed."""
    for name in ("shop", "show", "studio", "console"):
        (web.deps.dist / name).mkdir(parents=True)
        (web.deps.dist / name / "index.html").write_text(f"<title>{name}</title>")
    (web.deps.dist / "assets").mkdir()
    (web.deps.dist / "assets" / "shop-Abc123.js").write_text("let a = 1;")
    (web.deps.dist / "assets" / "shop-Abc123.js.gz").write_bytes(gzip.compress(b"let a = 1;"))
    (web.deps.dist / "theme.js").write_text("let t;")
    (web.deps.dist.parent / "secret.txt").write_text("secret")
    (web.deps.dist / "link.txt").symlink_to(web.deps.dist.parent / "secret.txt")
    return web.deps.dist


ID = "0198c0de-0000-7000-8000-000000000000"


# --- pages


@pytest.mark.parametrize(
    ("path", "title", "status"),
    [
        ("/", "shop", 200),
        ("/products", "shop", 200),
        ("/products/blue-cup", "shop", 200),
        ("/account/sign-in", "shop", 200),
        ("/office/orders", "shop", 200),
        ("/orders/" + ID, "shop", 200),
        ("/invite", "shop", 200),
        ("/shows/" + ID, "show", 200),
        ("/studio/" + ID, "studio", 200),
        ("/console/" + ID, "console", 200),
        ("/nothing", "shop", 404),
    ],
)
async def test_each_address_has_its_page(web: Web, dist: Path, path: str, title: str, status: int) -> None:
    answer = await web.browser().get(path)
    assert (answer.status_code, answer.text) == (status, f"<title>{title}</title>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


async def test_hashed_files_are_kept_for_ever_and_come_compressed(web: Web, dist: Path) -> None:
    browser = web.browser()
    script = await browser.get("/assets/shop-Abc123.js")
    assert script.text == "let a = 1;"
    assert script.headers["content-encoding"] == "gzip"
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    plain = await browser.get("/assets/shop-Abc123.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    theme = await browser.get("/theme.js")
    assert theme.headers["cache-control"] == "no-cache"
    again = await browser.get("/theme.js", headers={"if-none-match": theme.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/link.txt", "/assets/..%2f..%2fsecret.txt", "/%00"]
)
async def test_nothing_outside_the_build_is_served(web: Web, dist: Path, path: str) -> None:
    answer = await web.browser().get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


async def test_without_a_build_it_says_what_to_do(web: Web) -> None:
    answer = await web.browser().get("/")
    assert answer.status_code == 503
    assert "make web" in answer.text


# --- headers


async def test_every_answer_is_guarded(web: Web, dist: Path) -> None:
    browser = web.browser()
    for path in ("/", "/api/me", "/nothing", "/assets/shop-Abc123.js"):
        headers = (await browser.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "camera=()" in headers["permissions-policy"]
        assert "strict-transport-security" not in headers
    studio = (await browser.get("/studio/" + ID)).headers["permissions-policy"]
    assert "camera=(self), microphone=(self), display-capture=(self)" in studio
    embed = (await browser.get("/embed/" + ID)).headers
    assert "frame-ancestors 'self'" in embed["content-security-policy"]
    assert "x-frame-options" not in embed


def test_the_policy_opens_only_what_is_used() -> None:
    plain = Settings(public_url="https://shop.test", overlay_public_url="wss://live.test/x")
    policy = content_security_policy(plain)
    assert policy["script-src"] == ("'self'",)
    assert "wss://live.test" in policy["connect-src"]
    several = Settings(
        stream_public_url="https://a.test", stream_origins=("https://a.test", "https://b.test")
    )
    allowed = content_security_policy(several)["connect-src"]
    assert [source for source in allowed if "test" in source] == ["https://a.test", "https://b.test"]
    stripe = content_security_policy(Settings(stripe_publishable_key="pk_live_x"))
    assert "https://js.stripe.com" in stripe["script-src"]
    demo = Settings(stripe_publishable_key="pk_test_x", stripe_api_url="http://127.0.0.1:8404")
    policy = content_security_policy(demo)
    assert "http://127.0.0.1:8404" in policy["connect-src"]
    assert "stripe" not in str(policy)
    for directives in (policy, content_security_policy(plain)):
        assert "unsafe" not in str(directives)


async def test_https_brings_hsts_and_secure_cookies(web: Web) -> None:
    settings = Settings(public_url="https://shop.test", stripe_webhook_secret="whsec_x")
    secure = web.rebuilt(settings=settings)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(secure),
        base_url="https://shop.test",
        headers={"origin": "https://shop.test"},
    ) as browser:
        body = {"email": "tls@example.com", "password": "a long enough one", "display_name": "T"}
        answer = await browser.post("/api/auth/sign-up", json=body)
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age=31536000" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("203.0.113.9", "198.51.100.1", "198.51.100.1"),
        ("203.0.113.9", "10.0.0.1, 198.51.100.1, 203.0.113.8", "198.51.100.1"),
        ("203.0.113.9", "garbage", "garbage"),
        ("203.0.113.9", "", "203.0.113.9"),
    ],
)
def test_proxies_are_believed_only_when_trusted(peer: str, forwarded: str, client: str) -> None:
    assert TrustedProxies.of(("203.0.113.0/24",)).client_ip(peer, forwarded) == client


# --- health, numbers, logs


async def test_health_says_what_each_part_is(web: Web) -> None:
    answer = await web.browser().get("/healthz")
    parts = answer.json()["parts"]
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert parts["postgres"]["detail"].startswith("PostgreSQL")
    assert (parts["redis"]["state"], parts["media"]["state"]) == ("ok", "down")
    await web.deps.nodes.beat(media.Node(id="n1", url="http://n1"))
    assert (await web.browser().get("/healthz")).json()["parts"]["media"]["detail"] == "n1: 0 viewers"


async def test_without_redis_pages_go_on_and_health_says_so(web: Web) -> None:
    await make_show(web)
    async with open_redis("redis://127.0.0.1:9", deadline_s=0.5) as nowhere:
        lame = dataclasses.replace(web, app=web.rebuilt(redis=nowhere))
        assert (await lame.browser().get("/api/shows")).status_code == 200
        browser = await lame.signed_in()
        assert (await browser.get("/api/me")).json()["user"]
        assert (await browser.post("/api/auth/sign-out", json={})).status_code == 204
        health = await browser.get("/healthz")
        assert (health.status_code, health.json()["parts"]["redis"]["state"]) == (503, "down")
        whip = await browser.post("/whip", headers={"authorization": "Bearer hp_x"})
        assert (whip.status_code, whip.json()["code"]) == (503, "store_unavailable")


async def test_without_a_database_the_answer_is_clear(web: Web) -> None:
    await web.deps.pool.close()
    answer = await web.browser().get("/api/config")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert (await web.browser().get("/healthz")).json()["parts"]["postgres"]["state"] == "down"


async def test_before_there_is_a_shop(web: Web) -> None:
    async with transaction(web.deps.pool) as db:
        await db.execute("DELETE FROM shops")
    answer = await web.browser().get("/api/config")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_shop")
    assert "hawker owner create" in answer.json()["what_to_do"]


async def test_requests_are_counted_by_route(web: Web) -> None:
    browser = web.browser()
    await browser.get("/api/products/one")
    await browser.get("/api/products/two")
    text = (await browser.get("/metrics")).text
    assert 'hawker_http_requests_total{method="GET",route="/api/products/{handle}",status="404"} 2.0' in text
    proxied = await browser.get("/metrics", headers={"x-forwarded-for": "192.0.2.1"})
    assert proxied.status_code == 404


async def test_logs_have_an_id_and_no_secrets(web: Web) -> None:
    show = await make_show(web, "invited")
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answer = await web.browser().get(
            f"/api/shows/{show.id}?pass=very-secret",
            headers={"x-request-id": "given-by-proxy", "authorization": "Bearer very-secret"},
        )
        bad_id = await web.browser().get("/api/me", headers={"x-request-id": "no id; at all"})
    assert answer.headers["x-request-id"] == "given-by-proxy"
    assert len(bad_id.headers["x-request-id"]) == 32
    line = next(line for line in logs if line["event"] == "request")
    assert line["path"] == f"/api/shows/{show.id}"
    assert (line["status"], line["code"], line["request_id"]) == (401, "pass_needed", "given-by-proxy")
    assert "very-secret" not in str(logs)


# --- errors and the description


async def test_a_bug_of_ours_is_an_honest_answer(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr("server.store.catalogue.products_page", broken)
    answer = await web.browser().get("/api/products")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text


async def test_wrong_methods_and_addresses(web: Web) -> None:
    browser = web.browser()
    wrong = await browser.delete("/api/config")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
    assert (await browser.get("/api/nothing")).json()["code"] == "not_found"
    assert (await browser.post("/")).json()["code"] == "method_not_allowed"


def test_refusals_of_the_checkout_keep_their_code() -> None:
    known = errors.of_refusal(Refusal("busy", "So many.", retry_after_ms=1500))
    assert (known.code, known.retry_after_s) == ("busy", 2)
    unsure = errors.of_refusal(Refusal("unavailable", "Nothing is lost.", retry_after_ms=1000))
    # 503, not a definite no: the same order id may be asked again
    assert (unsure.code, unsure.kind.status, unsure.retry_after_s) == ("unavailable", 503, 1)
    unknown = errors.of_refusal(Refusal("something_new", "Because."))
    assert (unknown.code, unknown.extra["refusal"]) == ("refused", "something_new")


def test_every_documented_code_is_in_the_table_and_says_what_to_do() -> None:
    for operation in OPERATIONS:
        assert set(operation.all_errors) <= set(KINDS), operation.path
    for code, kind in KINDS.items():
        assert kind.what_to_do
        assert 400 <= kind.status < 600, code
    with pytest.raises(KeyError):
        Problem("not_in_the_table")


def test_the_description_is_whole() -> None:
    described = openapi.document(OPERATIONS)
    assert described["openapi"] == "3.1.0"
    names = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names)) == len([op for op in OPERATIONS if op.method != "OPTIONS"])
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_metrics_registries_are_apart(web: Web) -> None:
    assert isinstance(web.deps.metrics, CollectorRegistry)
