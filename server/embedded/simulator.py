"""The payment simulator as a role: its settings from ours, its webhooks to the web role beside it."""

from __future__ import annotations

from collections.abc import Callable

from server.config import Settings
from server.payments.simulator.app import serve
from server.payments.simulator.settings import SimulatorSettings

WEBHOOK_PATH = "/api/stripe/webhook"


async def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until cancelled or told to stop by a signal."""
    own = SimulatorSettings(
        secret_key=settings.stripe_secret_key,
        publishable_key=settings.stripe_publishable_key,
        state_path=settings.data_dir / "simulator.sqlite3",
        host=settings.simulator_host,
        port=settings.simulator_port,
        webhook_url=f"http://{settings.web_host}:{settings.web_port}{WEBHOOK_PATH}",
        webhook_secret=settings.stripe_webhook_secret,
    )
    await serve(own, lambda _url: ready())
