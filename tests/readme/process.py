"""Commands that go on, and what they need of this machine."""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sts-ci"
# In seconds: for what is waited for, and for what may have to be compiled first.
DEADLINE = 60
BUILD = 1200


class Process:
    """A command that goes on, whose output is read as it comes."""

    def __init__(self, command: str, directory: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.child = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=directory,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.child.stdout
        for line in self.child.stdout:
            self.lines.put(line)
        self.lines.put("")

    def until(self, text: str) -> str:
        """What was printed, up to the line with `text`."""
        printed = ""
        while text not in printed:
            line = self.lines.get(timeout=BUILD)
            printed += line
            assert line, f"{self.command} ended\n{printed}"
        return printed

    def rest(self) -> str:
        """What it printed since, once it has ended."""
        self.reader.join(DEADLINE)
        return "".join(self.lines.queue)

    def end(self) -> None:
        """Ends it as Ctrl-C does: the whole group, which must then go; a second one ends a server's drain."""
        for wait in [1, DEADLINE]:
            if self.child.poll() is None:
                os.killpg(self.child.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(timeout=wait)
        assert self.child.poll() is not None, f"{self.command} does not end"


def virtual_environment() -> Path:
    """A Python to install into, kept between runs."""
    venv = CACHE / "readme-venv"
    if not (venv / "bin/pip").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
    return venv


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
