"""Pseudonyms for a public bid book: a bidder has one in an auction and another one in the next."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from hashlib import sha256

_COLOURS_TEXT = """
Amber Azure Birch Blue Brass Bright Bronze Calm Cedar Clear Cobalt Copper Coral Crimson Dusky Ebony
Emerald Fern Fleet Flint Frosty Gentle Gilded Golden Green Hazel Honey Indigo Ivory Jade Keen Lilac
Linen Lively Lunar Maple Mellow Misty Mossy Noble Ochre Olive Opal Pearl Plum Proud Quiet Rosy Royal
Ruby Russet Sandy Scarlet Silver Slate Solar Steel Stormy Sunny Swift Teal Velvet Violet Warm
"""
_COLOURS = _COLOURS_TEXT.split()
_ANIMALS_TEXT = """
Badger Bear Beaver Bison Crane Deer Dolphin Dove Duck Eagle Egret Elk Falcon Ferret Finch Fox
Gazelle Goose Hare Hawk Hedgehog Heron Horse Ibex Jay Kestrel Kite Koala Lark Lemur Lion Lynx Magpie
Marten Mole Moose Newt Oriole Osprey Otter Owl Panda Pigeon Pony Puffin Quail Rabbit Raven Robin
Salmon Seal Sparrow Squirrel Stork Swallow Swan Tapir Tern Thrush Tiger Trout Turtle Wolf Wren
"""
_ANIMALS = _ANIMALS_TEXT.split()


def alias(key: bytes, user_id: str, taken: Collection[str] = ()) -> str:
    """`Amber Fox 12`: from a keyed hash, so that only who has the auction's key can tell who it is."""
    for attempt in range(1_000):
        digest = hmac.digest(key, f"{user_id}:{attempt}".encode(), sha256)
        colour, animal = digest[0] % len(_COLOURS), digest[1] % len(_ANIMALS)
        number = int.from_bytes(digest[2:6]) % 999 + 1
        name = f"{_COLOURS[colour]} {_ANIMALS[animal]} {number}"
        if name not in taken:
            return name
    raise ValueError("no pseudonym is left")
