"""Start one child process with one model in it, wait until it is ready, watch it, end it."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from appliance import clock, logs
from appliance.config import REPOSITORY
from appliance.errors import (
    AdapterError,
    CacheTypeError,
    ChatTemplateError,
    HakoError,
    ModelDamagedError,
    ModelFailedError,
    ModelNoMemoryError,
    NoGpuError,
)
from appliance.inference import extras, flavour
from appliance.inference.engine import EngineSpec, Loaded

log = logs.get(__name__)

_LOAD_SECONDS = 600.0
_TERMINATE_SECONDS = 2.0
_LAST_WORDS_SECONDS = 10.0
"""On a busy machine a process that has refused takes a while to end."""
_NO_MEMORY = re.compile(rb"bad_alloc|MemoryError|Cannot allocate memory|insufficient memory")
"""How the runtimes and their libraries say it."""
_HEALTH_SECONDS = 5.0
_HEALTH = b"GET /health HTTP/1.1\r\nHost: child\r\nConnection: close\r\n\r\n"


class Child:
    """A running engine. `exited` is called once, from a thread of this object, whenever and however it ends."""

    def __init__(self, spec: EngineSpec, exited: Callable[["Child"], None]) -> None:
        self.spec = spec
        self.loaded: Loaded | None = None
        self.fell_back = False
        """Whether it computes without the GPU that the box was installed for."""
        self.started = clock.monotonic()
        self._last_words: deque[bytes] = deque(maxlen=20)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "appliance.inference.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
            env=_environment(),
            start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which ends its children in order
        )
        self._drainer = threading.Thread(target=self._drain, name=f"drain-{spec.model}", daemon=True)
        self._drainer.start()
        threading.Thread(target=self._watch, args=(exited,), name=f"watch-{spec.model}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def answers(self) -> bool:
        """Whether it takes requests now.

        A dying process closes its connections some time before it counts as dead, and may still be connected
        to in between: whoever has just lost an answer and asks again must not be sent there.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_HEALTH_SECONDS)
            try:
                connection.connect(self.spec.socket)
                connection.sendall(_HEALTH)
                return bool(connection.recv(1))
            except TimeoutError:
                return True  # busy, not dead
            except OSError:
                return False

    def wait_ready(self) -> Loaded:
        """Hand over the orders and wait for the report.

        Raises:
            ModelDamagedError: the runtime refuses the files.
            NoGpuError: it must run on a GPU, and can't.
            ChatTemplateError: the files are right, the operator's template is not.
            CacheTypeError: the files are right, but the model can't round its cache so.
            AdapterError: the adapter was made for another model.
            ModelNoMemoryError: the files may be right, but it got less memory than it asked for.
            ModelFailedError: it died or never became ready.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ModelFailedError("no pipes", name=self.spec.model)
        deadline = threading.Timer(_LOAD_SECONDS, self.kill)
        deadline.daemon = True
        deadline.start()
        try:
            stdin.write(json.dumps(asdict(self.spec)).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            deadline.cancel()
            stdout.close()
        report = json.loads(line) if line.endswith(b"\n") else {}
        if "loaded" not in report:
            raise self._failure(report)
        loaded = Loaded(**report["loaded"])
        # Installed for a GPU and run without: slow, and nobody would know why.
        self.fell_back = loaded.provider == "cpu" and flavour.may_use_gpu(self.spec.engine, self.spec.provider)
        if self.fell_back:
            log.warning("runs_on_cpu", model=self.spec.model, detail=self.last_words())
        self.loaded = loaded
        return loaded

    def _failure(self, report: dict[str, object]) -> HakoError:
        if missing := extras.missing(self.spec.engine, self.spec.model):
            return missing
        self._drainer.join(_LAST_WORDS_SECONDS)  # it ends by itself now; why may come after that it did
        told = b" | ".join((str(report.get("refused", "")).encode(), *self._last_words))
        if not report.get("provider") and _NO_MEMORY.search(told):
            return ModelNoMemoryError(told.decode("utf-8", "replace")[-500:], name=self.spec.model)
        if "refused" in report:
            return self._refusal(report)
        return ModelFailedError(f"died while loading: {self.last_words()}", name=self.spec.model)

    def _refusal(self, report: dict[str, object]) -> HakoError:
        """What its engine meant by not loading the model: the settings that it can't follow, or the file."""
        spec, words = self.spec, self.last_words()
        if spec.template and "chat template" in words:
            return ChatTemplateError("the engine's own reader refuses it", line=1)
        if spec.adapter and "lora" in words:
            return AdapterError(words, name=spec.adapter, model=spec.model)
        if report.get("provider"):
            return NoGpuError(f"{report['refused']}; {words}", name=spec.model)
        if spec.cache_type != "f16" and b"cache type" in b"".join(self._last_words):
            return CacheTypeError(words, name=spec.model, cache=spec.cache_type)
        return ModelDamagedError(f"engine: {report['refused']}; {words}", name=spec.model)

    def last_words(self) -> str:
        """The end of what it wrote to standard error before it was ready; nothing that came after."""
        return b" | ".join(self._last_words).decode("utf-8", "replace")[-500:]

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def stop(self) -> None:
        """Ask it to end, by closing its input; insist after two seconds."""
        self._close_input()
        try:
            self._process.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._close_pipes()
        self._remove_socket()

    def exit_status(self) -> str:
        """How it ended, for the log."""
        code = self._process.poll()
        return "running" if code is None else f"signal {-code}" if code < 0 else f"status {code}"

    def _drain(self) -> None:
        # After loading, standard error is read and dropped: a runtime may print parts of a prompt.
        stderr = self._process.stderr
        if stderr is None:
            return
        with stderr:
            for line in stderr:
                if self.loaded is None:
                    self._last_words.append(line[:300].strip())

    def _watch(self, exited: Callable[["Child"], None]) -> None:
        self._process.wait()
        self._close_pipes()
        self._remove_socket()
        exited(self)

    def _remove_socket(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            Path(self.spec.socket).unlink()

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _close_pipes(self) -> None:
        """Once it has ended: until then what it prints is still read."""
        self._drainer.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not flushed to a dead child is lost anyway
                    pipe.close()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "TMPDIR") if name in os.environ}
    # Waiting threads must not spin: the other processes of the box need the cores.
    return {**kept, "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
