"""Stream processes as an operator runs them, with a registry in Valkey: killed, told to stop, replaced."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from overlay.log import open_redis
from server.media import NodeRegistry, summed
from server.tickets import MediaTicket, Tickets
from stream.ports import BroadcastState, Purpose

from .conftest import SHOW, is_gapless, rolling, until


def met(condition, nodes):
    """A node that a busy machine held up for seconds is missing until it speaks again."""
    with contextlib.suppress(KeyError):
        return condition(nodes)
    return False


async def test_nodes_die_and_drain_and_the_picture_goes_on(start_role, redis_url, at, camera):
    first, edge, second = start_role("first"), start_role("edge", drain_s=2), start_role("second")
    async with open_redis(redis_url) as redis:
        registry, tickets = NodeRegistry(redis), Tickets(redis)

        async def nodes():
            return {node.id: node for node in await registry.nodes()}

        async def until_nodes(condition, timeout_s=60):
            async with asyncio.timeout(timeout_s):
                while not met(condition, await nodes()):
                    await asyncio.sleep(0.02)

        async def publish(role):
            ticket = await tickets.issue(MediaTicket(SHOW, "publish", "key:1"))
            return await at(role).join(ticket, kind="whip")

        await until_nodes(lambda held: len(held) == 3, 180)
        publisher = await publish(first)
        async with rolling(camera(publisher)):
            await until_nodes(lambda held: held["first"].state(SHOW) is BroadcastState.LIVE)
            viewer = await at(edge).join(
                await tickets.issue(MediaTicket(SHOW, "view", "viewer")), kind="whep"
            )
            assert viewer.status == 201
            await viewer.until(lambda: len(viewer.video()) > 30)
            await until_nodes(lambda held: held["edge"].broadcasts[SHOW].viewers == 1)
            await until_nodes(lambda held: summed(held.values())[SHOW].viewers == 1)  # the pull is no viewer
            await until_nodes(lambda held: not held["edge"].broadcasts[SHOW].is_origin)
            first.kill()
        again = await publish(second)
        before = len(viewer.video())
        async with rolling(camera(again, ssrc=0x9999, seq=40_000, timestamp=77)):
            await viewer.until(lambda: len(viewer.video()) > before + 30)
            await until_nodes(lambda held: "first" not in held)
            assert is_gapless(viewer.video())

            second.process.send_signal(signal.SIGTERM)
            await until_nodes(lambda held: held["second"].is_draining)
            await until_nodes(lambda held: len(held) == 2)
            assert (await registry.node_for(SHOW, Purpose.PUBLISH)).id == "edge", "where its viewers are"
            moved = await publish(edge)
            assert moved.status == 201
            after = camera(moved, ssrc=0x7777, seq=9, timestamp=5)
            async with rolling(after):
                await again.delete()
                await until_nodes(lambda held: "second" not in held)
                before = len(viewer.video())
                await viewer.until(lambda: len(viewer.video()) > before + 30)
                await until_nodes(lambda held: held["edge"].broadcasts[SHOW].is_origin)
            assert is_gapless(viewer.video())
            await until(lambda: second.process.poll() is not None, 60)
            assert second.process.returncode == 0
        edge.process.send_signal(signal.SIGTERM)
        await until(lambda: edge.process.poll() is not None, 60)
        assert await registry.nodes() == [], "the last one waits for nobody"


async def test_a_broadcast_has_one_host_while_its_node_drains(start_role, redis_url, at, camera):
    """Whoever comes with another key is refused wherever they are sent, until the host has gone."""
    old, new = start_role("old", drain_s=60), start_role("new")
    async with open_redis(redis_url) as redis:
        registry, tickets = NodeRegistry(redis), Tickets(redis)

        async def until_nodes(condition, timeout_s=60):
            async with asyncio.timeout(timeout_s):
                while not met(condition, {node.id: node for node in await registry.nodes()}):
                    await asyncio.sleep(0.02)

        async def publish(role, key):
            ticket = await tickets.issue(MediaTicket(SHOW, "publish", key))
            return await at(role).join(ticket, kind="whip")

        await until_nodes(lambda held: len(held) == 2, 180)
        host = await publish(old, "key:1")
        async with rolling(camera(host)):
            await until_nodes(lambda held: held["old"].state(SHOW) is BroadcastState.LIVE)
            old.process.send_signal(signal.SIGTERM)
            await until_nodes(lambda held: held["old"].is_draining)
            assert (await registry.node_for(SHOW, Purpose.PUBLISH)).id == "new"
            await asyncio.sleep(3.5)  # longer than the lease of a node that says nothing
            second = await publish(new, "key:2")
            assert (second.status, second.problem["code"]) == (409, "publisher_present")
            moved = await publish(new, "key:1")
            assert moved.status == 201
        await host.delete()
        async with rolling(camera(moved, ssrc=0x7777, seq=9, timestamp=5)):
            await until(lambda: old.process.poll() is not None)
            second = await publish(new, "key:2")
            assert (second.status, second.problem["code"]) == (409, "publisher_present")
        await moved.delete()
        assert (await publish(new, "key:2")).status == 201
