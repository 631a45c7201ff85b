"""What can keep a program from starting. Every error says what was wrong and what to do."""

from __future__ import annotations


class StartError(Exception):
    """Starting is impossible as things are. `code` is stable, `remedy` is what the operator can do."""

    def __init__(self, code: str, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.code = code
        self.problem = problem
        self.remedy = remedy


def tail(text: str, lines: int = 12) -> str:
    """The last non-empty lines of a log."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def failed_start(program: str, log: str, log_path: str, code: str = "store_failed") -> StartError:
    """The error for a program that ended before it was ready, judged by the end of its log."""
    if "No space left on device" in log:
        return StartError(
            "disk_full", f"{program} can't start: the disk is full.", "Free some space, then start again."
        )
    return StartError(
        code, f"{program} ended while starting:\n{tail(log)}\n", f"The whole log is {log_path}."
    )
