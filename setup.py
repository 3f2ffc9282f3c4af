"""
Compiles the pure rooms, and the blocking client's pump, with mypyc where a C compiler is found.

The same sources run uncompiled; everything else about the package is said in
``pyproject.toml``. ``GEARTRAIN_COMPILE=0`` leaves the compiling out, and ``1``
makes a failure of it an error instead of a remark.
"""

from __future__ import annotations

import glob
import os
import shutil
import sys

from setuptools import setup

COMPILED = [
    *sorted(glob.glob("src/geartrain/wire/*.py")),
    *sorted(glob.glob("src/geartrain/broker/*.py")),
    "src/geartrain/store/batch.py",
    "src/geartrain/server/exchange.py",
    "src/geartrain/server/http_peer.py",
    "src/geartrain/server/lease.py",
    "src/geartrain/server/replies.py",
    "src/geartrain/server/requests.py",
    "src/geartrain/server/text_commands.py",
    "src/geartrain/client/backoff.py",
    "src/geartrain/client/batch.py",
    "src/geartrain/client/job.py",
    "src/geartrain/client/placement.py",
    "src/geartrain/client/question.py",
    "src/geartrain/client/session.py",
    "src/geartrain/client/sync_job.py",
    "src/geartrain/client/sync_pump.py",
    "src/geartrain/client/turns.py",
    "src/geartrain/client/unplaced.py",
    "src/geartrain/worker/session.py",
]
# Packages' own files hold a docstring and nothing to speed up.
COMPILED = [path for path in COMPILED if not path.endswith("__init__.py")]


def extensions() -> list[object]:
    """Return the compiled modules, or none where they are not wanted or can't be built."""
    wanted = os.environ.get("GEARTRAIN_COMPILE", "auto")
    if wanted == "0":
        return []
    if wanted == "auto" and not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        print("no C compiler found: geartrain runs as pure Python", file=sys.stderr)
        return []
    try:
        from mypyc.build import mypycify

        return list(
            mypycify(
                # What the other rooms import need not be here, nor its types.
                ["--follow-imports=silent", *filter(os.path.exists, COMPILED)],
                opt_level="3",
                group_name="geartrain",
            )
        )
    except (ImportError, SystemExit) as error:
        if wanted == "1":
            raise
        print(f"geartrain runs as pure Python: {error}", file=sys.stderr)
        return []


setup(ext_modules=extensions())
