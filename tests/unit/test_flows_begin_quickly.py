"""A flow's process begins without Azure's SDK: to import it takes a second of processor time, between the push and its rollout."""

import pkgutil
import subprocess
import sys

import flows


def test_no_flow_needs_azures_sdk_to_begin() -> None:
    names = [f"flows.{module.name}" for module in pkgutil.iter_modules(flows.__path__) if module.name != "__main__"]
    assert "flows.sync" in names
    program = f"import sys, {', '.join(names)}; print([name for name in sys.modules if name.startswith('azure.')])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"
