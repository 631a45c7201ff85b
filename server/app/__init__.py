"""The composition root: the only place that wires the three rooms, their stores and each other."""
