"""JSON lines where a signal comes at the worst moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgehr.live.sinks.json_lines import JsonLinesSink


def test_a_signal_while_the_file_is_opened_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path, *given: Any, **options: Any) -> Any:
        if path.suffix == ".jsonl":
            raise KeyboardInterrupt
        return really(path, *given, **options)

    really = Path.open
    monkeypatch.setattr(Path, "open", interrupted)
    with pytest.raises(KeyboardInterrupt) as kept:
        JsonLinesSink(tmp_path / "a.jsonl")
    assert kept.value
    assert not any(tmp_path.iterdir())
