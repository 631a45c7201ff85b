"""The C file under AddressSanitizer and UndefinedBehaviorSanitizer, and without a compiler."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from stream.wire import _srtp, fanout

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "stream/wire/_fanout.c"
COMPILER = os.environ.get("CC", "gcc")


def compiled(target: Path, *flags: str) -> Path:
    include = sysconfig.get_paths()["include"]
    command = [
        COMPILER,
        *flags,
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fPIC",
        "-shared",
        f"-I{include}",
    ]
    subprocess.run([*command, str(SOURCE), "-o", str(target)], check=True, timeout=300)
    return target


def test_clean_under_sanitizers(tmp_path: Path) -> None:
    flags = "-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
    library = compiled(tmp_path / "_fanout.so", *flags.split())
    runtimes = [
        subprocess.run(
            [COMPILER, f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    environment = os.environ | {
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own, at exit
        "PYTHONPATH": str(ROOT),
        "PYTHONMALLOC": "malloc",  # so that overruns of bytes objects are seen too
    }
    script = Path(__file__).with_name("fanout_under_sanitizers.py")
    run = subprocess.run(
        [sys.executable, str(script), str(library)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (run.returncode, run.stdout.strip()) == (0, "whole"), run.stderr[-4000:]


def test_the_built_module_knows_the_same_window() -> None:
    assert fanout.native_path is not None
    assert fanout.native_path.WINDOW == _srtp.WINDOW


def test_a_build_without_a_compiler_succeeds(tmp_path: Path) -> None:
    """The extension is optional: what is installed then runs on the plain path."""
    run = subprocess.run(
        [
            sys.executable,
            str(ROOT / "setup.py"),
            "build_ext",
            "--build-lib",
            str(tmp_path),
            "--build-temp",
            str(tmp_path),
        ],
        env=os.environ | {"CC": "/nonexistent/cc"},
        cwd=tmp_path_with_source(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "failed" in run.stderr
    assert "/nonexistent/cc" in run.stderr
    assert not list(tmp_path.glob("**/_fanout*.so"))


def tmp_path_with_source(tmp_path: Path) -> Path:
    """A directory with the source but without pyproject.toml, which this test is not about."""
    (tmp_path / "stream/wire").mkdir(parents=True)
    (tmp_path / "stream/wire/_fanout.c").write_bytes(SOURCE.read_bytes())
    return tmp_path


def test_without_the_module_the_import_holds() -> None:
    hidden = "import sys; sys.modules['stream.wire._fanout'] = None"
    code = f"{hidden}; from stream.wire import fanout; print(fanout.native_path)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.stdout.strip() == "None", run.stderr


@pytest.mark.parametrize("flag", ["-O2", "-O3"])
def test_compiles_without_a_warning(tmp_path: Path, flag: str) -> None:
    assert compiled(tmp_path / "_fanout.so", flag).exists()
