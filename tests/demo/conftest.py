"""The demonstration is a tool, not part of the package: it is found where ``tools/demo`` has it."""

from __future__ import annotations

import sys
from pathlib import Path

TOOLS = Path(__file__).parent.parent.parent / "tools"

sys.path.insert(0, str(TOOLS))
