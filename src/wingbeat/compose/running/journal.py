"""What a run tells its provenance: changes wait here until they are written, together, in one transaction.

Its one rule: without a provenance that records, no value is written as text. The disk is waited for once in a run, at
its end, before somebody is told of it: a process that dies loses nothing, and what a cut of power takes runs again.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wingbeat.compose.changes import (
    Change,
    Ending,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    Recorder,
    RunCreated,
    RunFinished,
)
from wingbeat.compose.json_text import safe_json_dumps
from wingbeat.compose.plans import Step


class Journal:
    def __init__(self, recorder: Recorder, run_id: str, *, inner: bool = False) -> None:
        """The end of an `inner` run is told to the run around it only."""
        self.recorder = recorder
        self.records = recorder.records
        self._run_id = run_id
        self._inner = inner
        self._waiting: list[Change] = []
        self._sink_texts: dict[str, str] = {}

    def add(self, *changes: Change) -> None:
        if self.records:
            self._waiting.extend(changes)

    def starts(self, step: Step, inputs: object) -> None:
        if self.records:
            text = safe_json_dumps(inputs)
            is_source, is_sink = not step.before, not step.after
            self._waiting.append(NodeStarted(self._run_id, step.label, text, is_source=is_source, is_sink=is_sink))

    def completes(self, step: Step, output: Any) -> None:
        """Raises UnstorableValue for an output that could not be read back."""
        if self.records:
            text = step.codec.encode(output)
            self.knows(step, text)
            self._waiting.append(NodeCompleted(self._run_id, step.label, text, step.edges))

    def knows(self, step: Step, output_json: str) -> None:
        if not step.after:
            self._sink_texts[step.label] = output_json

    def fails(self, label: str, error: str) -> None:
        self.add(NodeFailed(self._run_id, label, error))

    def ends(self, status: Ending, *, error: str | None = None) -> None:
        outputs = _as_object(self._sink_texts) if self._sink_texts and status == "completed" else None
        self.add(RunFinished(self._run_id, status, outputs, error))

    async def write(self) -> None:
        """Returns when all of it outlives this process; changes that could not be written wait on."""
        await self._write(durable=False)

    async def write_end(self) -> None:
        """`write`, and returns when the disk has it."""
        await self._write(durable=not self._inner)

    async def _write(self, *, durable: bool) -> None:
        if not self._waiting:
            return
        changes, self._waiting = self._waiting, []
        try:
            await self.recorder.arecord(changes, durable=durable)
        except BaseException:
            self._waiting = [*map(_again, changes), *self._waiting]
            raise


def _again(change: Change) -> Change:
    return replace(change, again=True) if isinstance(change, RunCreated) else change


def _as_object(texts: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(label)}:{text}" for label, text in texts.items()) + "}"
