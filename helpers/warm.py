"""The warm kernel server: it imports what every notebook needs once, then forks a kernel for each
one asked for.

`helpers.kernels` starts it with `python -m helpers.warm FD`, where FD is its end of a socket pair,
and asks over that for kernels. Forking is sound only from a process with a single thread, so the
server opens no connection, starts no thread and no event loop, and refuses to serve when a package
did. When whoever started it goes, by whatever death, the sockets close and the server takes all its
kernels along.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pkgutil import walk_packages

import duckdb
import ibis

import helpers
from helpers import tables
from helpers.collect.presets import presets

NOT_FOR_NOTEBOOKS = ("__main__", "cli", "keep", "kernels", "publish", "run", "warm")
# bytes read of an order; one that the system does not send whole gets a plain kernel
LONGEST = 2**20
PACKAGES = ("ipykernel.kernelapp", "matplotlib.pyplot", "seaborn")


@dataclass
class Order:
    """A kernel that is wanted: arguments of its command, whole environment, working folder."""

    arguments: list[str]
    env: dict[str, str]
    cwd: str


@dataclass
class Child:
    """A kernel that runs: its process, the handle that tells of its end, the socket to whoever
    ordered it.
    """

    pid: int
    handle: int
    link: socket.socket

    def signal(self, number: int) -> None:
        """Send a signal to the kernel and all that it started."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # just forked: not yet the first of a group of its own
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Server:
    """Forks kernels on request, passes signals on to them and tells of their end.

    Over `control` come three file descriptors a kernel: a socket of its own, standard output,
    standard error. Over that socket, which keeps messages apart, comes the order as JSON; back goes
    the process id. From then on the numbers of signals go one way, and the exit code the other,
    once.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control, self.children = control, {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ, self._order)

    def serve(self) -> Order | None:
        """Serve until whoever started it is gone; in the forked child, come back with its order."""
        while self.control.fileno() >= 0:
            for key, _ in self.selector.select():
                # closed by what came before it in this batch
                if self.selector.get_map().get(key.fd) != key:
                    continue
                order = key.data(key.fileobj)
                if order:
                    return order
        return None

    def _order(self, control: socket.socket) -> Order | None:
        _, given, _, _ = socket.recv_fds(control, 1, 3)
        if not given:
            self._stop()
            return None
        link, outputs = socket.socket(fileno=given[0]), given[1:]
        wanted = _hear(link)
        if not wanted:  # it has gone before it said what it wanted
            self._close(link, *outputs)
            return None
        pid = os.fork()
        if not pid:
            self._leave(link, outputs)
            return Order(**json.loads(wanted))
        for fd in outputs:
            os.close(fd)
        child = Child(pid, os.pidfd_open(pid), link)
        self.children[pid] = child
        self.selector.register(link, selectors.EVENT_READ, lambda _: self._asked(child))
        self.selector.register(child.handle, selectors.EVENT_READ, lambda _: self._ended(child))
        _tell(link, pid)
        return None

    def _asked(self, child: Child) -> None:
        number = _hear(child.link)
        if not number:  # nobody is there any more to use this kernel
            self.selector.unregister(child.link)
        child.signal(int(number or signal.SIGKILL))

    def _ended(self, child: Child) -> None:
        child.signal(signal.SIGKILL)  # what it started; not reaped yet, its number is still its own
        _, status = os.waitpid(child.pid, 0)
        self.selector.unregister(child.handle)
        if child.link in self.selector.get_map():
            self.selector.unregister(child.link)
        _tell(child.link, os.waitstatus_to_exitcode(status))
        self._close(child.link, child.handle)
        del self.children[child.pid]

    def _stop(self) -> None:
        for child in list(self.children.values()):
            child.signal(signal.SIGKILL)
            self._ended(child)
        self.selector.unregister(self.control)
        self.control.close()

    def _leave(self, link: socket.socket, outputs: list[int]) -> None:
        """In the child: hold nothing of the server's, and stand in a session of its own."""
        self.selector.close()
        self._close(
            self.control, link, *(x for c in self.children.values() for x in (c.link, c.handle))
        )
        os.setsid()
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        for fd, standard in zip(outputs, (1, 2), strict=True):
            os.dup2(fd, standard)
            os.close(fd)

    @staticmethod
    def _close(*ends: socket.socket | int) -> None:
        for end in ends:
            os.close(end) if isinstance(end, int) else end.close()


def _hear(link: socket.socket) -> bytes:
    with suppress(ConnectionError):
        return link.recv(LONGEST)
    return b""


def _tell(link: socket.socket, number: int) -> None:
    with suppress(OSError):  # nobody listens any more
        link.send(b"%d" % number)


def prepare() -> None:
    """Import what notebooks use (helpers, kernel, charts), and do once what each would do at its
    first step.
    """
    for name in PACKAGES:
        import_module(name)
    duckdb.default_connection().close()  # opened by its import, with a thread
    for module in walk_packages(helpers.__path__, "helpers."):
        if module.name.split(".")[1] not in NOT_FOR_NOTEBOOKS:
            import_module(module.name)
    presets()
    ibis.to_sql(ibis.table(tables.get("orders").schema).count(), dialect="duckdb")


def refuse_threads() -> None:
    """End this process where it has more than one thread: what the others hold would stay locked in
    a fork.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        sys.exit(f"warm kernels: an import started {threads - 1} more threads")


def become(order: Order, server: int) -> None:
    """Turn this forked process into the kernel that was ordered; it ends when the server does."""
    # only a kernel needs them, and what it forks from has loaded them
    import numpy as np
    from ipykernel.kernelapp import IPKernelApp

    os.environ.clear()
    os.environ.update(order.env)
    time.tzset()
    os.chdir(order.cwd)
    np.random.seed()  # as in a process of its own: chance without a seed differs each time
    duckdb.set_default_connection(duckdb.connect())  # as after its import
    sys.argv = ["ipykernel_launcher", *order.arguments]
    IPKernelApp.launch_instance(argv=[*order.arguments, f"--IPKernelApp.parent_handle={server}"])


def main() -> None:
    """Import, then serve; each child that comes out of that becomes a kernel."""
    control, server = socket.socket(fileno=int(sys.argv[1])), os.getpid()
    prepare()
    refuse_threads()
    # where the system has none, better now than with a kernel already forked
    os.close(os.pidfd_open(server))
    gc.collect()
    gc.freeze()  # what is imported is shared with every kernel, and no collection need touch it
    order = Server(control).serve()
    if order:
        become(order, server)


if __name__ == "__main__":
    main()
