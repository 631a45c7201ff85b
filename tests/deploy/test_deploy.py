"""What an operator runs, checked by schema and against the settings it must name.

compose-spec.json is the Compose Specification's own schema (Apache-2.0).
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from server import config
from server.role import MODULES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = {config.variable(row.name) for row in dataclasses.fields(config.Settings)}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def _filled(value: str) -> str:
    """A value as compose would fill it in from a complete .env."""
    known = {"HAWKER_SECRET_KEY": "q7Zk2Xv9Lm4Tn8Rb5Wc1Yd6Hf3Jg0Ps8aEuIoKx", "PUBLIC_IP": "203.0.113.7"}
    known |= {"HAWKER_SMTP_URL": "smtp://u:p@mail:587", "SHOP_DOMAIN": "shop.example"}

    def fill(match: re.Match[str]) -> str:
        name, default = match[1], match[2] or ""
        return known.get(name) or (default[2:] if default.startswith(":-") else "value0123")

    return re.sub(r"\$\{(\w+)(:[-?][^}]*)?\}", fill, value)


def test_compose_file_obeys_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).with_name("compose-spec.json")).read_text())
    jsonschema.Draft202012Validator(schema).validate(compose)


def test_compose_runs_all_that_a_shop_needs(compose: dict[str, Any]) -> None:
    assert {"postgres", "valkey", "caddy", "web", "overlay", "stream", "worker"} <= set(compose["services"])


@pytest.mark.parametrize("role", ["web", "overlay", "stream", "worker"])
def test_a_role_starts_with_what_compose_tells_it(compose: dict[str, Any], role: str) -> None:
    service = compose["services"][role]
    assert service["command"] == [role]
    assert role in MODULES
    given = {name: _filled(str(value)) for name, value in service["environment"].items()}
    assert {name for name in given if name.startswith("HAWKER_")} <= SETTINGS
    settings = config.load(given, role)
    assert not settings.demo
    assert settings.public_url == "https://shop.example"


def test_services_wait_for_services_that_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, wanted in service.get("depends_on", {}).items():
            other = compose["services"][name]
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in other or other.get("image") == "hawker:latest"


def test_only_web_ports_and_media_are_open_to_the_world(compose: dict[str, Any]) -> None:
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert published == {
        "stream": ["8403:8403/udp", "8403:8403/tcp"],
        "stream-2": ["8413:8403/udp", "8413:8403/tcp"],
        "caddy": ["80:80", "443:443", "443:443/udp"],
    }


def test_a_second_media_node_tells_itself_apart_and_has_time_to_drain(compose: dict[str, Any]) -> None:
    first, second = compose["services"]["stream"], compose["services"]["stream-2"]
    assert second["profiles"] == ["two-nodes"], "one is enough for most shops"
    for setting in ("NODE_ID", "STREAM_NODE_URL", "STREAM_ANNOUNCED", "STREAM_PUBLIC_URL"):
        name = f"HAWKER_{setting}"
        assert first["environment"][name] != second["environment"][name], name
    for node in (first, second):
        assert int(node["stop_grace_period"].removesuffix("s")) > config.Settings().stream_drain_s
        inside = node["networks"]["inside"]["ipv4_address"]
        assert node["environment"]["HAWKER_STREAM_ANNOUNCED"].endswith(f",{inside}")


def test_every_variable_of_compose_is_in_the_example(compose: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert used <= set(example)
    secrets = [name for name in example if re.search("PASSWORD|SECRET|_KEY", name)]
    assert not [name for name in secrets if example[name]], "an example secret would be used as it is"


def test_the_image_copies_what_exists_and_runs_unprivileged() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    stages = text.split("\nFROM ")
    assert "\nUSER hawker" in stages[-1]
    assert "HEALTHCHECK" in stages[-1]
    assert set(re.findall(r"HAWKER_\w+", text)) <= SETTINGS


def test_caddy_reaches_every_public_role_and_hides_metrics() -> None:
    text = (DEPLOY / "Caddyfile").read_text()
    reached = set(re.findall(r"reverse_proxy (\S+)", text))
    assert reached == {"web:8400", "overlay:8401", "stream:8402", "stream-2:8402"}
    assert text.count("{") == text.count("}")
    inner = re.search(r"@inner path (.+)\n\thandle @inner {\n\t\trespond 404\n\t}\n", text)
    assert inner, "a respond outside of handle would come after every handle"
    assert inner.end() < text.index("reverse_proxy")
    roles = ("", "/room", "/media", "/media-2")
    hidden = {f"{prefix}/{page}" for prefix in roles for page in ("metrics", "healthz")}
    assert set(inner[1].split()) == hidden


def test_the_image_takes_nothing_that_was_built_or_kept_outside() -> None:
    ignored = set((DEPLOY / "Dockerfile.dockerignore").read_text().split())
    assert {
        ".git",
        ".venv",
        "**/node_modules",
        "**/dist",
        "**/__pycache__",
        "**/*.so",
        "deploy/.env",
    } <= ignored


def test_make_alone_lists_every_documented_task() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for task in ("demo", "test", "check", "bench", "fmt", "lock", "clean"):
        assert f"make {task} " in done.stdout


def test_a_python_that_is_too_old_is_told() -> None:
    done = subprocess.run(
        ["/bin/sh", "deploy/find-python.sh"],
        cwd=ROOT,
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "[python_missing]" in done.stderr
