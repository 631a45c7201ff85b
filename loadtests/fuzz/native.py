"""The C file built with AddressSanitizer and UndefinedBehaviorSanitizer, for a share of the fuzz run.

There an overrun of a byte ends the process instead of passing unnoticed.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

_FLAGS = "-g -O1 -std=c11 -fPIC -shared -fsanitize=address,undefined -fno-sanitize-recover=all"
_SOURCE = Path(__file__).parents[2] / "stream/wire/_fanout.c"


def build(folder: Path) -> Path | None:
    """The library; None where there is no compiler, or none with sanitizers."""
    library = folder / "_fanout.so"
    command = [_compiler(), *_FLAGS.split(), f"-I{sysconfig.get_paths()['include']}", str(_SOURCE)]
    try:
        subprocess.run([*command, "-o", str(library)], check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError):
        return None
    return library if all(map(Path.exists, map(Path, _runtimes()))) else None


def environment() -> dict[str, str]:
    """What a Python needs that loads the library."""
    return os.environ | {
        "LD_PRELOAD": " ".join(_runtimes()),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own, at exit
        "PYTHONMALLOC": "malloc",  # so that overruns of bytes objects are seen too
    }


def load(library: Path) -> None:
    """From here on it is the fan-out's native path; before `stream.wire.fanout` is imported."""
    name = "stream.wire._fanout"
    if "stream.wire.fanout" in sys.modules:
        raise RuntimeError("native_too_late: the fan-out is there already")
    loader = importlib.machinery.ExtensionFileLoader(name, str(library))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)


def _compiler() -> str:
    return os.environ.get("CC", "gcc")


def _runtimes() -> list[str]:
    asked = ([_compiler(), f"-print-file-name={name}"] for name in ("libasan.so", "libubsan.so"))
    return [subprocess.run(one, check=True, capture_output=True, text=True).stdout.strip() for one in asked]
