"""Settings: everything wrong is told at once, secrets never show, the table and its documentation agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from server import config

GOOD = {
    "HAWKER_DATABASE_URL": "postgresql://u:hunter2@db/hawker",
    "HAWKER_REDIS_URL": "redis://:pw@cache:6379/0",
    "HAWKER_SECRET_KEY": "kI3vJ0a9-Zq7bYw2sXe5rTc8uVm4nBp6lGh1",
    "HAWKER_STRIPE_SECRET_KEY": "sk_live_abc",
    "HAWKER_STRIPE_PUBLISHABLE_KEY": "pk_live_abc",
    "HAWKER_STRIPE_WEBHOOK_SECRET": "whsec_abc",
}


def _problems(environ: dict[str, str], role: str = "web") -> dict[str, str]:
    with pytest.raises(config.SettingsError) as caught:
        config.load(environ, role)
    return {problem.variable: str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize("role", ["web", "overlay", "worker", "stream"])
def test_good_settings_are_read_with_their_types(role: str) -> None:
    settings = config.load(
        {
            **GOOD,
            "HAWKER_WEB_PORT": "9400",
            "HAWKER_STREAM_ANNOUNCED": "203.0.113.7, 203.0.113.8:3478, [2001:db8::1]:3478, 2001:db8::2",
            "HAWKER_ALLOWED_ORIGINS": "https://a.example/,https://b.example",
            "HAWKER_ICE_SERVERS": '[{"urls": "turn:t.example", "username": "u", "credential": "c"}]',
        },
        role,
    )
    assert settings.web_port == 9400
    assert settings.stream_announced == (
        ("203.0.113.7", 0),
        ("203.0.113.8", 3478),
        ("2001:db8::1", 3478),
        ("2001:db8::2", 0),
    )
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.ice_servers == (config.IceServer(("turn:t.example",), "u", "c"),)


def test_everything_missing_is_named_at_once() -> None:
    assert set(_problems({})) == set(GOOD)


def test_a_stream_process_needs_neither_database_nor_stripe() -> None:
    assert set(_problems({}, "stream")) == {"HAWKER_REDIS_URL", "HAWKER_SECRET_KEY"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HAWKER_WEB_PORT", "http"),
        ("HAWKER_WEB_PORT", "70000"),
        ("HAWKER_DATABASE_URL", "mysql://x"),
        ("HAWKER_PUBLIC_URL", "shop.example"),
        ("HAWKER_DEMO", "perhaps"),
        ("HAWKER_LOG_FORMAT", "xml"),
        ("HAWKER_STREAM_ANNOUNCED", "my.host"),
        ("HAWKER_TRUSTED_PROXIES", "10.0.0.1/99"),
        ("HAWKER_ICE_SERVERS", '[{"url": 1}]'),
        ("HAWKER_SECRET_KEY", "short"),
        ("HAWKER_SECRET_KEY", "a" * 64),
        ("HAWKER_SECRET_KEY", "change-me-0123456789-abcdefghijklmnop"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_to_do(name: str, value: str) -> None:
    problems = _problems({**GOOD, name: value})
    assert set(problems) == {name}
    assert len(problems[name]) > len(name) + 20


def test_secret_values_show_neither_in_errors_nor_in_repr() -> None:
    shown = repr(config.load(GOOD, "web"))
    for secret in ("hunter2", ":pw@", GOOD["HAWKER_SECRET_KEY"], "sk_live_abc", "whsec_abc"):
        assert secret not in shown
    problems = _problems({**GOOD, "HAWKER_DATABASE_URL": "mysql://u:hunter2@db", "HAWKER_SECRET_KEY": "tiny"})
    assert not [text for text in problems.values() if "hunter2" in text or "tiny" in text]


def test_a_demo_refuses_live_stripe_keys() -> None:
    problems = _problems({**GOOD, "HAWKER_DEMO": "yes"})
    assert set(problems) == {"HAWKER_STRIPE_SECRET_KEY", "HAWKER_STRIPE_PUBLISHABLE_KEY"}


def test_a_live_and_a_test_key_are_never_mixed() -> None:
    for name, value in (("SECRET", "sk_test_abc"), ("PUBLISHABLE", "pk_test_abc")):
        problems = _problems({**GOOD, f"HAWKER_STRIPE_{name}_KEY": value})
        assert set(problems) == {"HAWKER_STRIPE_PUBLISHABLE_KEY"}


def test_live_keys_are_never_sent_to_another_api() -> None:
    assert "HAWKER_STRIPE_SECRET_KEY" in _problems({**GOOD, "HAWKER_STRIPE_API_URL": "http://127.0.0.1:1"})


def test_a_misspelt_variable_is_found_with_what_was_meant() -> None:
    found = config.unknown_variables({"HAWKER_DATABSE_URL": "x", "HAWKER_WEB_PORT": "1", "PATH": ""})
    assert found == {"HAWKER_DATABSE_URL": "HAWKER_DATABASE_URL"}


def test_the_documentation_is_written_from_the_table() -> None:
    page = Path(__file__).parents[2] / "deploy" / "settings.md"
    assert page.read_text() == config.markdown(), "run: python -m server.config > deploy/settings.md"
