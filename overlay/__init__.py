"""The talk: rooms, people and messages over websockets. A product is only what a pin shows."""
