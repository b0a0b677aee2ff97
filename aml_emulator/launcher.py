"""The first code of a scoring process: ties its life to the emulator's, then becomes gunicorn with its app.

Run as a script, under the interpreter of the deployment's environment: `launcher.py PARENT_PID LISTENING_FD WORKERS`.
May import: the standard library and gunicorn. Nothing of `aml_emulator`: it is not installed in such an environment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, number: int) -> None:
    """Asks the kernel for `number` when the parent ends. The parent may have ended before we asked: then end now."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent:
        os.killpg(0, signal.SIGKILL)


def end_group(*_: object) -> None:
    # Also takes along what the user's code may have started.
    os.killpg(0, signal.SIGKILL)


def post_fork(server: Any, _worker: Any) -> None:
    # The death signal is not inherited over fork, and a busy gunicorn worker does not look after its parent.
    die_with_parent(server.pid, signal.SIGKILL)


def main() -> None:
    parent, descriptor, workers = (int(text) for text in sys.argv[1:4])
    # The folder of this file is not for the user's imports.
    sys.path.pop(0)
    signal.signal(signal.SIGRTMIN, end_group)
    die_with_parent(parent, signal.SIGRTMIN)

    from gunicorn.app.wsgiapp import WSGIApplication  # type: ignore[import-untyped,unused-ignore]

    class Application(WSGIApplication):  # type: ignore[misc,unused-ignore]
        def load_config(self) -> None:
            super().load_config()
            self.cfg.set("post_fork", post_fork)
            if "control_socket_disable" in self.cfg.settings:
                self.cfg.set("control_socket_disable", True)

    timeout = os.environ.get("WORKER_TIMEOUT", "300")
    sys.argv = ["gunicorn", "-b", f"fd://{descriptor}", "-w", str(workers), "--timeout", timeout]
    sys.argv.append("azureml_inference_server_http.server.entry:app")
    Application("%(prog)s [OPTIONS] [APP_MODULE]").run()


if __name__ == "__main__":
    main()
