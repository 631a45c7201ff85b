"""Order and pace of the sender's steps."""

import random
from collections import defaultdict
from collections.abc import Callable

from stream.wire._turns import Step, Turns


def nothing(*args: object) -> None: ...


def step(name: str, *lanes: str, run: Callable[..., None] = nothing) -> Step:
    return Step(lanes, run, (name,))


def ran(turns: Turns, now: float) -> list[str]:
    names = []
    while (one := turns.next(now)) is not None:
        names.append(one.args[0])
    return names


def test_steps_run_in_order() -> None:
    turns = Turns()
    for name in "abc":
        turns.add(step(name, "x"))
    assert (ran(turns, 0.0), len(turns)) == (["a", "b", "c"], 0)


def test_a_pause_holds_its_lanes_and_nobody_else() -> None:
    turns = Turns()
    turns.pause(step("rest", "x", "y"), until=1.0)
    for name, lane in (("x1", "x"), ("z1", "z"), ("y1", "y"), ("x2", "x")):
        turns.add(step(name, lane))
    assert ran(turns, 0.5) == ["z1"]
    assert turns.wait_s(0.75) == 0.25
    assert ran(turns, 1.0) == ["rest", "x1", "y1", "x2"]


def test_what_is_held_holds_its_other_lanes_too() -> None:
    turns = Turns()
    turns.pause(step("rest", "x"), until=1.0)
    turns.add(step("both", "x", "y"))
    turns.add(step("only_y", "y"))
    assert ran(turns, 0.0) == []
    assert ran(turns, 1.0) == ["rest", "both", "only_y"]


def test_a_rest_that_pauses_again_keeps_its_place() -> None:
    turns = Turns()
    turns.pause(step("rest", "x"), until=1.0)
    turns.add(step("next", "x"))
    assert turns.next(0.0) is None
    assert turns.next(1.0) == step("rest", "x")
    turns.pause(step("rest", "x"), until=2.0)
    assert turns.next(1.5) is None
    assert ran(turns, 2.0) == ["rest", "next"]


def test_waits_for_nothing_forever() -> None:
    turns = Turns()
    assert turns.wait_s(0.0) is None
    turns.add(step("a"))
    assert turns.wait_s(0.0) == 0.0


def test_behind_is_only_the_same_for_the_same() -> None:
    turns, lanes = Turns(), ("x", "y")
    me = Step(lanes, nothing)
    assert turns.behind(me) is None
    turns.add(step("other", *lanes, run=print))
    assert turns.behind(me) is None
    turns.take_behind()
    turns.add(step("fewer", "x"))
    assert turns.behind(me) is None
    turns.take_behind()
    turns.add(step("same", *lanes))
    assert turns.behind(me) is not None
    assert turns.take_behind().args == ("same",)


def test_each_lanes_order_holds_whatever_pauses() -> None:
    dice = random.Random(3)
    turns, seen, now = Turns(), defaultdict(list), 0.0
    parts = {}
    for number in range(2000):
        parts[number] = dice.choice([1, 1, 1, 4])
        turns.add(Step(tuple(dice.sample("abcdef", dice.randrange(1, 4))), nothing, (number,)))
        now += dice.random()
        for _ in range(dice.randrange(4)):
            one = turns.next(now)
            if one is None:
                break
            for lane in one.lanes:
                seen[lane].append(one.args[0])
            parts[one.args[0]] -= 1
            if parts[one.args[0]]:
                turns.pause(one, now + 3 * dice.random())
    assert all(order == sorted(order) for order in seen.values())
    assert len(seen) == 6
