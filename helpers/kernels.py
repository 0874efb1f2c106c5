"""Kernels for the notebooks of a run: forked from a warm server on Linux, plain elsewhere and
whenever that fails.

Starting kernels and importing the same packages was a third of the notebooks' seconds. `warm()`
starts a server (`helpers/warm.py`) that has done it once; `Provisioner` is how Jupyter asks for a
kernel, so papermill and nbval need to know nothing of it. `PLAYBOOK_KERNELS=plain` asks for plain
kernels.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from helpers.client import spill_name

NAME = "playbook-provisioner"
CHOSEN = "JUPYTER_DEFAULT_PROVISIONER_NAME"
PATIENCE = 120.0  # seconds in which the server must have imported everything and forked
# Two notebooks share the cores, and the last digits of a sum depend on the number of threads.
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
# Arrow's memory has one else, and forks need none
NO_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}

started: Counter[str] = Counter()  # kernels since `warm` began, by kind
_server: ServerProcess | None = None
_no_more = threading.Event()  # set when a run was stopped: no kernel begins any more
_running: set[Forked | subprocess.Popen] = set()
_connections: Path | None = None


class Forked:
    """A forked kernel, with what Jupyter uses of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, link: socket.socket, pid: int) -> None:
        self.pid, self.returncode, self._link, self._lock = pid, None, link, threading.Lock()
        link.setblocking(False)

    def poll(self) -> int | None:
        """The exit code, or None while it runs; asked for by Jupyter and by `kill`, each in its own
        thread.
        """
        with self._lock:
            if self.returncode is None:
                try:
                    said = self._link.recv(64)
                except BlockingIOError:
                    return None
                except OSError:
                    said = b""
                # a server that died took its kernels along
                self.returncode = int(said) if said else -signal.SIGKILL
                self._link.close()
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises TimeoutError after `timeout` seconds."""
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > until:
                raise TimeoutError(f"kernel {self.pid} still runs")
            time.sleep(0.02)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel and all that it started."""
        if self.poll() is None:
            with suppress(OSError):  # it ended just now
                self._link.send(b"%d" % number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class ServerProcess:
    """The warm server (`helpers.warm.Server`) as the run sees it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self.has_forked = False
        with theirs:
            command = [sys.executable, "-P", "-m", "helpers.warm", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                env=ONE_THREAD | NO_THREAD | os.environ,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=None if os.environ.get("PLAYBOOK_DEBUG") else subprocess.DEVNULL,
                # an interrupt from the keyboard is for the run, which then closes this
                start_new_session=True,
            )

    def fork(
        self, arguments: list[str], env: dict[str, str], cwd: str, outputs: list[int]
    ) -> Forked | None:
        """A kernel, or None where there is none to be had."""
        order = json.dumps({"arguments": arguments, "env": env, "cwd": cwd}).encode()
        with suppress(OSError):
            ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
            with ours, theirs:
                ours.settimeout(PATIENCE)
                socket.send_fds(self._control, [b"k"], [theirs.fileno(), *outputs])
                theirs.close()
                ours.send(order)
                said = ours.recv(64)
                if said:
                    self.has_forked = True
                    return Forked(ours.dup(), int(said))
        return None

    def close(self) -> None:
        """End the server and all kernels it forked."""
        self._control.close()
        if not self.has_forked:  # it may still be importing, and nobody needs that any more
            self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Provisioner(LocalProvisioner):
    """Starts a kernel warm where `warm` is in force and it is this Python's own kernel;
    plain else.
    """

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Prepare the start; the file that tells the kernel's ports and key goes where a killed run
        leaves nothing.
        """
        if _connections and not self.parent.connection_file:
            _connections.mkdir(mode=0o700, exist_ok=True)
            self.parent.connection_file = str(_connections / f"kernel-{self.kernel_id}.json")
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel and keep track of it, so that `kill` reaches it."""
        kwargs["env"] = ONE_THREAD | kwargs.get("env", os.environ)
        self.process = _forked(cmd, kwargs)
        if self.process is None:
            _go_on()
            await super().launch_kernel(cmd, **kwargs)
        else:
            self.pid, self.cwd = self.process.pid, kwargs.get("cwd") or Path.cwd()
        started["warm" if isinstance(self.process, Forked) else "plain"] += 1
        _running.add(self.process)
        if _no_more.is_set():  # `stop` did not see it
            _end(self.process)
            _go_on()
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Pass a signal on; but not the interrupt that precedes a kill, since a kernel only
        complains of it.
        """
        if signum == signal.SIGINT and self.parent.shutting_down:
            return
        await super().send_signal(signum)

    async def wait(self) -> int | None:
        """Wait for its end, and lose track of it."""
        process = self.process
        code = await super().wait()
        _running.discard(process)
        return code


def _forked(cmd: list[str], kwargs: dict[str, Any]) -> Forked | None:
    global _server
    server, ours = _server, cmd[0] == sys.executable and "ipykernel_launcher" in cmd
    if not (server and ours):
        return None
    outputs = [kwargs.get(name) or getattr(sys, f"__{name}__") for name in ("stdout", "stderr")]
    if not all(hasattr(out, "fileno") for out in outputs):
        return None
    arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
    cwd = str(kwargs.get("cwd") or Path.cwd())
    kernel = server.fork(arguments, dict(kwargs["env"]), cwd, [out.fileno() for out in outputs])
    # it never came up: nobody waits for it again
    if kernel is None and server is _server and not server.has_forked:
        _server = None
        server.close()
    return kernel


@contextmanager
def warm(scratch: Path) -> Iterator[None]:
    """Inside, Jupyter's kernels come from here, warm where that is possible. At the end none is
    left.

    `scratch` is a folder for short-lived files; they are named as `client.empty_spills` expects.
    """
    global _server, _connections
    started.clear()
    _no_more.clear()
    # begun already: the command begins it before it imports the rest, the tests for all their runs
    if _connections:
        yield
        return
    before = os.environ.get(CHOSEN)
    _connections = scratch / spill_name()
    if not entry_points(group="jupyter_client.kernel_provisioners", name=NAME):
        print(
            "Kernels start one by one. Install the package again to have them warm.",
            file=sys.stderr,
        )
    else:
        os.environ[CHOSEN] = NAME
        if wanted():
            with suppress(OSError):
                _server = ServerProcess()
    try:
        yield
    finally:
        try:
            kill()
        finally:
            if _server:
                _server.close()
            shutil.rmtree(_connections, ignore_errors=True)
            _server = _connections = None
            if before is None:
                os.environ.pop(CHOSEN, None)
            else:
                os.environ[CHOSEN] = before


def wanted() -> bool:
    """Whether warm kernels are possible here and nobody asked for plain ones."""
    asked = os.environ.get("PLAYBOOK_KERNELS", "warm")
    return sys.platform == "linux" and asked != "plain"


def kill() -> None:
    """Kill every kernel that still runs, and what it started."""
    for process in list(_running):
        _end(process)
    _running.clear()


def stop() -> None:
    """Kill every kernel, and let none begin any more until `warm` is entered anew."""
    _no_more.set()
    kill()


def _end(process: Forked | subprocess.Popen) -> None:
    if process.poll() is None and isinstance(process, subprocess.Popen) and hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _go_on() -> None:
    if _no_more.is_set():
        raise RuntimeError("the run was stopped")
