"""
``python -m geartrain`` is the ``geartrain`` command.
"""

from __future__ import annotations

from geartrain.cli.main import main

if __name__ == "__main__":
    main()
