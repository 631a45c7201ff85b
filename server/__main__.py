"""`hawker`, and `python -m server`. Roles start without the command line's libraries: they cost memory."""

from __future__ import annotations

import sys


def main() -> None:
    """Run a role, or the command line."""
    from server import role

    if len(sys.argv) == 2 and sys.argv[1] in role.MODULES:
        sys.exit(role.main(sys.argv[1]))
    from server import cli

    cli.main()


if __name__ == "__main__":
    main()
