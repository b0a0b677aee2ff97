"""Runs of flows in processes that are forked from one which has imported all that `python -m flows` does.

To import it takes four seconds of processor time, and the tests need hundreds of runs. What happens in the forked process is what happens in
`python -m flows` after its imports; the demo, its test and those in a browser start that.

    python forking.py SOCKET                the process that is forked
    python -S -E forking.py SOCKET begin    what Prefect's worker starts: a run has its environment and output, and ends with it
"""

import json
import os
import selectors
import signal
import socket
import sys

# The kernel's limit for one message is twice this.
LONGEST = 100_000


def begin(path: str) -> int:
    """Have a run begun, pass on signals, and end as it ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps([os.getcwd(), dict(os.environ)]).encode()], [0, 1, 2])
        run = int(connection.recv(LONGEST))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _frame: os.kill(run, number))
        status = int(connection.recv(LONGEST) or -signal.SIGKILL)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def serve(path: str) -> None:
    """Fork a run for each who asks; kill it when who asked is gone."""
    from flows.__main__ import import_all

    import_all()
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads is not to be forked"
    # Who asked for a run, by what becomes readable when that run has ended.
    asked: dict[int, tuple[socket.socket, int]] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen(100)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connection, _address = listener.accept()
                    run = fork(listener, connection)
                    ended = os.pidfd_open(run)
                    asked[ended] = connection, run
                    selector.register(ended, selectors.EVENT_READ)
                    selector.register(connection, selectors.EVENT_READ, ended)
                elif key.fd in asked:
                    selector.unregister(key.fd)
                    end(selector, *asked.pop(key.fd))
                    os.close(key.fd)
                elif key.data in asked:
                    # Who asked is gone, killed perhaps.
                    selector.unregister(key.fileobj)
                    signal.pidfd_send_signal(key.data, signal.SIGKILL)


def end(selector: selectors.BaseSelector, connection: socket.socket, run: int) -> None:
    """Tell who asked how the run has ended."""
    status = os.waitstatus_to_exitcode(os.waitpid(run, 0)[1])
    if connection.fileno() in selector.get_map():
        selector.unregister(connection)
        connection.send(str(status).encode())
    connection.close()


def fork(listener: socket.socket, connection: socket.socket) -> int:
    """The process of a run; in it, this does not return."""
    message, files, _flags, _address = socket.recv_fds(connection, 2 * LONGEST, 3)
    run = os.fork()
    if run:
        for file in files:
            os.close(file)
        connection.send(str(run).encode())
        return run
    listener.close()
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    folder, env = json.loads(message)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["flows"]
    become_the_run()
    raise AssertionError("it has ended")


def become_the_run() -> None:
    """As `python -m flows` goes on, with the settings of this environment."""
    from runpy import run_module

    from prefect.context import refresh_global_settings_context

    from aml_canary.settings import settings
    from examples.demo.processes import end_with_parent

    end_with_parent()
    settings.cache_clear()
    refresh_global_settings_context()
    run_module("prefect.engine", run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    if sys.argv[2:] == ["begin"]:
        sys.exit(begin(sys.argv[1]))
    serve(sys.argv[1])
