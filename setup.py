"""The one native part, the relay's fan-out. Without a compiler the relay runs on its plain Python path."""

import sys

from setuptools import Extension, setup  # type: ignore[import-untyped]

fanout = Extension(
    "stream.wire._fanout",
    sources=["stream/wire/_fanout.c"],
    extra_compile_args=["-O2", "-std=c11", "-Wall", "-Wextra"],
    py_limited_api=True,
    optional=True,
)

setup(
    # sendmmsg and UDP GSO are Linux's: elsewhere there is nothing to gain.
    ext_modules=[fanout] if sys.platform == "linux" else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
