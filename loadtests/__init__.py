"""Load tools that anyone can run, each a command with `--json`: against this server or another."""
