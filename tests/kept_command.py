"""The command line, in a process of its own, with what this session's tests have exported already.

python -m tests.kept_command FOLDER convert ...   # FOLDER is that of the `store`
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgehr.cli.main import main
from tests.made_once import KeptExports, Store
from tests.models import short_lite_hrnet  # noqa: F401 - so that its cards build

if __name__ == "__main__":
    KeptExports(Store(Path(sys.argv[1]))).take_over(pytest.MonkeyPatch())
    sys.exit(main(sys.argv[2:]))
