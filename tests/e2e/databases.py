"""PostgreSQL and Redis for a test, from Debian's packages `postgresql` and `redis-server`, on loopback ports, in folders that go with them.

Neither is part of the product, nor needed to try it: where they are not installed, `MISSING` says so, and nothing here can be used.
May import `examples.demo` for processes and ports; knows nothing of Prefect.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis
from redis.exceptions import ConnectionError as NobodyThere

from examples.demo.processes import Process
from examples.demo.stack import free_port

# Debian puts them where no PATH looks, by version.
_PATH = os.pathsep.join([*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ["PATH"]])
_PROGRAMS = ("initdb", "postgres", "pg_isready", "createdb", "psql", "redis-server")
MISSING = [name for name in _PROGRAMS if not shutil.which(name, path=_PATH)]


@dataclass(frozen=True)
class Postgres:
    """A server with a user `prefect` who has a password and a database `prefect`."""

    port: int
    password: str

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def asked(self, query: str) -> list[str]:
        """The answer to a query, a text for each row, with `|` between its columns."""
        return self._run("psql", "--tuples-only", "--no-align", "--command", query, "prefect").splitlines()

    def create(self) -> None:
        self._run("createdb", "prefect")

    def ready(self) -> bool:
        command = [*_program("pg_isready"), "--host=127.0.0.1", f"--port={self.port}"]
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        command = [*_program(program), "--host=127.0.0.1", f"--port={self.port}", "--username=prefect", *arguments]
        env = os.environ | {"PGPASSWORD": self.password}
        return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, until the end of the block."""
    made = Postgres(free_port(), secrets.token_hex(8))
    # Not in a test's own folder, which is closed to everybody but the user of the tests.
    with TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        (folder / "password").write_text(made.password)
        user: list[str] = []
        if os.geteuid() == 0:
            # It refuses to be root.
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
            user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
        data = f"--pgdata={folder}/data"
        options = ["--auth=scram-sha-256", "--username=prefect", f"--pwfile={folder}/password", "--encoding=UTF8", "--no-sync"]
        subprocess.run([*user, *_program("initdb"), data, *options], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        command = [*user, *_program("postgres"), "-D", f"{folder}/data", "-h", "127.0.0.1", "-p", str(made.port), "-k", "", "-F"]
        server = Process("postgres", command, os.environ, folder / "log", cwd=folder)
        try:
            server.wait_until(made.ready, 120)
            made.create()
            yield made
        finally:
            server.stop()


@contextmanager
def running_redis() -> Iterator[Redis]:
    """A Redis server that keeps nothing on disk, until the end of the block: a client of it."""
    port = free_port()
    with TemporaryDirectory(prefix="redis-") as folder, Redis(port=port, decode_responses=True) as client:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        server = Process("redis", command, os.environ, Path(folder) / "log", cwd=Path(folder))

        def ready() -> bool:
            try:
                return bool(client.ping())
            except NobodyThere:
                return False

        try:
            server.wait_until(ready, 120)
            yield client
        finally:
            server.stop()


def _program(name: str) -> list[str]:
    found = shutil.which(name, path=_PATH)
    assert found, f"{name} is not installed"
    return [found]
