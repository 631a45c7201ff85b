"""One relay against another: a round with our own, and what becomes of the rounds."""

import argparse
import os

from loadtests.relay.stream import Shape
from loadtests.relay.versus import on_cores, one_round, our_node, over_rounds, packets_each_s


def test_a_round_has_its_figures() -> None:
    before = os.sched_getaffinity(0)
    figures = one_round(our_node, argparse.Namespace(viewers=3, sample=2, rate=50.0, seconds=0.5))
    assert (figures["viewers"], figures["failed"], figures["no_picture"]) == (3, 0, 0)
    assert figures["packets_each_s"] > 0
    assert "kb_per_viewer" in figures
    assert os.sched_getaffinity(0) == before


def test_what_is_started_stays_on_its_core() -> None:
    before = os.sched_getaffinity(0)
    with on_cores({min(before)}):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_rounds_become_their_median_and_faults_are_added() -> None:
    rounds = [{"cpu_us_per_packet": cost, "lost": lost} for cost, lost in ((2.0, 1), (9.0, 0), (3.0, 4))]
    assert over_rounds(rounds) == {"cpu_us_per_packet": 3.0, "lost": 5}


def test_what_the_host_sends_each_second_is_known() -> None:
    """A keyframe of 50 packets and one of parameter sets, 59 frames of the rest, 50 packets of sound."""
    assert packets_each_s(Shape()) == (530 + 1) / 2 + 50
