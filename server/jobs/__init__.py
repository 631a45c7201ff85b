"""What the worker does: carries news out, finishes what a crash left behind, keeps the stores in step."""
