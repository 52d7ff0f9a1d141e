"""Compiles the models into the package, so that no first command waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledModels(BuildHookInterface[Any]):
    """Writes the compiled models where `exporter.compiled` looks for them first."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile them, and take them into the wheel though git ignores them."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCSTOKG_")}
        command = [sys.executable, "-m", "exporter.compiled"]
        subprocess.run(command, cwd=self.root, env=environ, check=True)
        build_data["artifacts"].append("exporter/_compiled/*.json")
