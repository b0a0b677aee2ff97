"""The program that one run is: `python -m flows` does what `python -m prefect.engine` does, and begins sooner.

Prefect, these flows and Azure's SDK are two thousand modules. While they are imported, Python would look for garbage again and again and
find none, which takes a fifth of the time. So it is told to look only afterwards. May import, by name, whatever runs need.
"""

import gc
from importlib import import_module
from runpy import run_module

_NEEDED = ("prefect.flow_engine", "flows.canary", "flows.guard", "flows.sync", "aml_canary.gateways.azureml.endpoints")


def import_all() -> None:
    """Import what a run needs."""
    gc.disable()
    for name in _NEEDED:
        import_module(name)
    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    import_all()
    run_module("prefect.engine", run_name="__main__", alter_sys=True)
