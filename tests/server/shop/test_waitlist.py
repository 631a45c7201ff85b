"""The waitlist: first come, first served; nothing promised twice; nobody over the limit."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.shop.waitlist import PlaceEvent, PlaceState, Waiting, promotion, step

LINES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), max_size=8)


@given(LINES, st.integers(0, 12), st.integers(0, 4))
def test_serving_is_in_order_within_stock_and_limit(
    line: list[tuple[int, int]], available: int, limit: int
) -> None:
    waiting = [Waiting(str(n), quantity, bought) for n, (quantity, bought) in enumerate(line)]
    done = promotion(waiting, available, limit)
    by_id = {place.place_id: place for place in waiting}
    assert done.units <= available
    served = [offer.place_id for offer in done.offers]
    assert served == sorted(served, key=int)
    for offer in done.offers:
        place = by_id[offer.place_id]
        assert 1 <= offer.units <= place.quantity
        assert not limit or place.bought + offer.units <= limit
    touched = {*served, *done.over_limit}
    reached = max(map(int, touched), default=-1)
    assert touched == {str(n) for n in range(reached + 1)}  # nobody was jumped over
    if len(touched) < len(waiting):
        assert done.units == available


@given(st.sampled_from(PlaceState), st.sampled_from(PlaceEvent))
def test_what_has_ended_stays_ended(state: PlaceState, event: PlaceEvent) -> None:
    if state in (PlaceState.BOUGHT, PlaceState.EXPIRED, PlaceState.LEFT):
        assert step(state, event) is None


@dataclass
class Place:
    number: int
    quantity: int
    state: PlaceState = PlaceState.WAITING
    offered: int = 0
    ends: int = 0


class Line(RuleBasedStateMachine):
    """A line beside a crowd that may take only what nobody waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.total = 0, 0
        self.available, self.held, self.sold = 0, 0, 0
        self.places: list[Place] = []
        self.offered_in_order: list[int] = []

    def line(self) -> list[Place]:
        return [place for place in self.places if place.state is PlaceState.WAITING]

    def move(self, place: Place, event: PlaceEvent) -> bool:
        state = step(place.state, event)
        if state is None:
            return False
        if place.state is PlaceState.OFFERED and state is not PlaceState.OFFERED:
            self.held -= place.offered
            if state is PlaceState.BOUGHT:
                self.sold += place.offered
            else:
                self.available += place.offered
        place.state = state
        return True

    @rule(units=st.integers(1, 4))
    def restock(self, units: int) -> None:
        self.available, self.total = self.available + units, self.total + units

    @rule(quantity=st.integers(1, 3))
    def join(self, quantity: int) -> None:
        if self.available == 0 or self.line():
            self.places.append(Place(len(self.places), quantity))

    @rule()
    def the_crowd_taps(self) -> None:
        if self.available and not self.line():
            self.available, self.sold = self.available - 1, self.sold + 1

    @rule(passed=st.integers(1, 50))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @rule()
    def serve(self) -> None:
        for place in self.places:
            if place.state is PlaceState.OFFERED and self.now >= place.ends:
                self.move(place, PlaceEvent.EXPIRED)
        done = promotion([Waiting(str(p.number), p.quantity) for p in self.line()], self.available, 0)
        for offer in done.offers:
            place = self.places[int(offer.place_id)]
            self.move(place, PlaceEvent.OFFERED)
            place.offered, place.ends = offer.units, self.now + 100
            self.available, self.held = self.available - offer.units, self.held + offer.units
            self.offered_in_order.append(place.number)

    @rule(data=st.data())
    def buy(self, data: st.DataObject) -> None:
        if self.places:
            place = data.draw(st.sampled_from(self.places))
            if place.state is PlaceState.OFFERED and self.now < place.ends:
                assert self.move(place, PlaceEvent.BOUGHT)
                assert place.state is not PlaceState.OFFERED

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.places:
            self.move(data.draw(st.sampled_from(self.places)), PlaceEvent.LEFT)

    @invariant()
    def every_unit_is_in_one_place(self) -> None:
        assert self.available + self.held + self.sold == self.total
        assert min(self.available, self.held, self.sold) >= 0
        assert self.held == sum(p.offered for p in self.places if p.state is PlaceState.OFFERED)

    @invariant()
    def first_come_first_served(self) -> None:
        assert self.offered_in_order == sorted(self.offered_in_order)
        waiting = [place.number for place in self.line()]
        assert not waiting or not self.offered_in_order or waiting[0] > self.offered_in_order[-1]


TestLine = Line.TestCase
