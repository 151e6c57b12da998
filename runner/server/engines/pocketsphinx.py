"""Real speech to text: pocketsphinx with the English model in its wheel (extra `asr`), each decoder in its own process.

The decoder holds the interpreter's lock for as long as it decodes (5.1.1), and reads bytes that strangers sent: in a
child it neither stops the server from answering nor takes it down.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import threading
from queue import SimpleQueue

import msgspec

from runner.errors import EngineError
from runner.server.engines.asr import Abilities, CannotTranscribe, ReceivedRecording, TimedTranscript

MODEL = "pocketsphinx"
ABILITIES = Abilities(languages=frozenset({"en"}))
_MAX_CHILDREN = 4  # each takes some 120 MB


class DecoderReply(msgspec.Struct, frozen=True):
    """One line of a child's output: a transcript, or why there is none."""

    transcript: TimedTranscript | None = None
    error: str = ""


class Pocketsphinx:
    """The engine behind the model `pocketsphinx`."""

    def __init__(self) -> None:
        self.concurrency = min(os.cpu_count() or 1, _MAX_CHILDREN)
        self._idle: SimpleQueue[_Child | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self._is_closed = False

    def prepare(self) -> None:
        """Start one child, so that what is wrong is known at once; the others start when they are needed."""
        if not is_installed():
            raise EngineError(
                f"the model `{MODEL}` needs the extra `asr`", hint="run `pip install 'runner-batch[asr]'`"
            )
        try:
            self._idle.put(self._start())
        except CannotTranscribe as error:
            raise EngineError(f"the model `{MODEL}` cannot be loaded: {error}") from error
        # places without a child yet: most servers never hear more than one recording at a time
        for _ in range(self.concurrency - 1):
            self._idle.put(None)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            children = list(self._children)
        for child in children:
            child.end()

    def transcribe(self, recording: ReceivedRecording) -> TimedTranscript:
        try:
            reply = self._transcribed(recording)
        except _Died:  # killed from outside, perhaps: once more, in a new one
            try:
                reply = self._transcribed(recording)
            except _Died as died:
                raise CannotTranscribe("the decoder died while it heard this recording") from died
        if reply.transcript is None:
            raise CannotTranscribe(reply.error)
        return reply.transcript

    def _transcribed(self, recording: ReceivedRecording) -> DecoderReply:
        child: _Child | None = self._idle.get()
        try:
            child = child or self._start()
            return child.transcribe(recording)
        except _Died:
            if child is not None:
                self._forget(child)
            # its place is free again: the next recording starts another child in it
            child = None
            raise
        finally:
            # the place goes back whatever happened, or each death would leave one fewer
            self._idle.put(child)

    def _start(self) -> _Child:
        with self._lock:
            # under the lock: no child starts behind the back of `close`, to outlive the server
            if self._is_closed:
                raise CannotTranscribe("the server is stopping")
            child = _Child()
            self._children.add(child)
        try:
            ready = child.reply()
        except _Died as died:
            self._forget(child)
            raise CannotTranscribe("the decoder did not start") from died
        if ready.error:
            self._forget(child)
            raise CannotTranscribe(ready.error)
        return child

    def _forget(self, child: _Child) -> None:
        child.end()
        with self._lock:
            self._children.discard(child)


def is_installed() -> bool:
    """Whether the extra `asr` is here."""
    return all(importlib.util.find_spec(name) is not None for name in ("pocketsphinx", "miniaudio"))


class _Died(Exception):
    """A child is gone."""


class _Child:
    """One process: a path a line goes in, a `DecoderReply` a line comes out. It ends when its input is closed."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", "runner.server.engines.decoder"]
        self._process = subprocess.Popen(
            # a session of its own: Ctrl-C in the terminal is for the server, which ends its children itself
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def transcribe(self, recording: ReceivedRecording) -> DecoderReply:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(str(recording.path)) + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise _Died from error
        return self.reply()

    def reply(self) -> DecoderReply:
        assert self._process.stdout is not None
        try:
            return msgspec.json.decode(self._process.stdout.readline(), type=DecoderReply)
        except (OSError, ValueError) as error:
            raise _Died from error

    def end(self) -> None:
        """End it, whatever it does; can be repeated."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
