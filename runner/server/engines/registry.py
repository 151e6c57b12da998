"""Which engine answers for a model's name, and whether it is ready."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from runner.errors import EngineError
from runner.server.engines.asr import AsrEngine
from runner.server.engines.base import Engine, Loadable
from runner.server.pool import Pool

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Loadable)


@dataclass(slots=True)
class Slot(Generic[E]):
    """One engine, and how far its loading is."""

    engine: E
    pool: Pool | None = None
    is_loading: bool = False
    error: EngineError | None = None


@dataclass(slots=True)
class Registry(Generic[E]):
    """Engines of one kind by model name. `default` answers for names that are not among them, else `unknown` does."""

    by_model: Mapping[str, Callable[[], E]]
    unknown: Callable[[], E]
    default: str | None = None
    around: Callable[[E], E] = lambda engine: engine  # a layer around whatever is made here
    on_change: Callable[[], None] = lambda: None
    _slots: dict[str, Slot[E]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self) -> list[str]:
        """The models a client can ask for by name."""
        # `upstream` is a way to ask, not a model: it answers for names that only the other server knows
        return sorted(name for name in self.by_model if name != "upstream")

    def name_of(self, model: str) -> str:
        """Which engine answers for `model`; empty where there is none."""
        name = model if model in self.by_model and model != "upstream" else self.default or ""
        return name if name in self.by_model else ""

    def slot(self, model: str) -> Slot[E]:
        """The engine for `model`; its loading begins with the first call."""
        name = self.name_of(model)
        # a batch and a call may ask at once, and a model is loaded once
        with self._lock:
            slot = self._slots.get(name)
            if slot is None:
                slot = self._slots[name] = Slot(self.around((self.by_model[name] if name else self.unknown)()))
                self._begin(name, slot)
            return slot

    def forget(self, model: str) -> None:
        """Try to load again when `model` is next asked for."""
        with self._lock:
            self._slots.pop(self.name_of(model), None)

    def _begin(self, name: str, slot: Slot[E]) -> None:
        if slot.engine.concurrency == 0:
            # quick engines are ready at once: no client ever sees them load
            slot.engine.prepare()
            return
        slot.is_loading = True
        threading.Thread(target=self._load, args=(name, slot), name=f"load-{name}", daemon=True).start()

    def _load(self, name: str, slot: Slot[E]) -> None:
        try:
            slot.engine.prepare()
            slot.pool = Pool(slot.engine.concurrency, name)
        except EngineError as error:
            slot.error = error
        except Exception as error:
            log.exception("loading %s failed", name)
            # whatever a library raises is the reason in a batch's error, not the end of this thread with no word to
            # anybody
            slot.error = EngineError(f"`{name}` cannot be loaded: {error}"[:256])
        # last: who sees that loading has ended must find the pool, or the error
        slot.is_loading = False
        self.on_change()

    def close(self) -> None:
        for slot in self._slots.values():
            if slot.pool is not None:
                slot.pool.close()
            slot.engine.close()


Engines = Registry[Engine]
AsrEngines = Registry[AsrEngine]
