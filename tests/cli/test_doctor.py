"""What `edgehr doctor` finds, and homes that are not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgehr.cli import doctor
from edgehr.errors import EdgehrError
from edgehr.files import cache_folder
from edgehr.zoo import get_card
from edgehr.zoo.fetch import fetch

ADVICE = "set EDGEHR_CACHE to a folder that can be written to"


def entry(name: str) -> dict[str, str]:
    (found,) = [each for each in doctor.examine() if each["name"] == name]
    return found


@pytest.mark.parametrize(
    ("package", "found", "state"),
    [
        ("onnxruntime", "1.16.3", "old"),
        ("onnxruntime", "1.17", "ok"),
        ("openvino", "2024.3.0", "old"),
        ("numpy", "1.23.5", "old"),
    ],
)
def test_versions_below_what_edgehr_needs(package: str, found: str, state: str) -> None:
    made = doctor._checked(package, package, found, found)
    assert made["state"] == state
    assert (f"pip install --upgrade '{package}>=" in made["detail"]) == (state == "old")


def test_versions_are_compared_as_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda name: ["onnxruntime>=1.9 ; extra == 'x'", "onnxruntime-gpu>=7"])
    assert doctor._checked("onnxruntime", "onnxruntime", "1.17.0", "")["state"] == "ok"
    assert doctor._checked("onnxruntime", "onnxruntime", "1.8.0rc1", "")["state"] == "old"
    assert doctor._checked("opencv", "opencv-python", "1.0", "")["state"] == "ok"  # no requirement, no complaint


def test_a_cache_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "new" / "folder"))
    assert entry("cache") == {"name": "cache", "state": "ok", "detail": str(tmp_path / "new" / "folder")}
    assert not (tmp_path / "new").exists()
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "file" / "folder"))
    assert entry("cache")["state"] == "broken"
    assert ADVICE in entry("cache")["detail"]
    with pytest.raises(EdgehrError, match=ADVICE):
        fetch(get_card("hrnet-w32-coco-256x192"))


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("EDGEHR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(EdgehrError, match=ADVICE):
        cache_folder()
    assert entry("cache")["state"] == "broken"
    monkeypatch.setenv("EDGEHR_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(EdgehrError, match=ADVICE):
        cache_folder()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root")
@pytest.mark.parametrize("home", [None, "/", "/nonexistent", "/root", ""])
def test_commands_of_a_user_whom_the_system_does_not_know(
    home: str | None, sample_ir: Path, sample_onnx: Path, tmp_path: Path
) -> None:
    """As in `docker run --user 12345`. The right to read everything stands for packages that all may read."""
    folder = tmp_path / "work"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    for file in (sample_ir, sample_ir.with_suffix(".bin"), sample_onnx):
        shutil.copy(file, folder)
    rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--bounding-set=-all,+dac_read_search"]
    user = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *rights]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    if home is not None:
        environment["HOME"] = home

    commands = [["doctor"], ["demo", "--model", sample_ir.name]]
    if home is None:  # as where a home is not there or not writable
        commands += [["inspect", sample_ir.name], ["inspect", sample_onnx.name], ["demo", "--model", sample_onnx.name]]
    commands += [["fetch", "hrnet-w32-coco-256x192"]]
    # In one process, whose status says which of them failed.
    code = "import json, sys; from edgehr.cli.main import main; "
    code += "sys.exit(sum(bool(main(words)) << place for place, words in enumerate(json.loads(sys.argv[1]))))"
    command = [*user, sys.executable, "-c", code, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert done.returncode == 1 << len(commands) - 1, done.stderr  # the last one
    assert [line for line in done.stdout.splitlines() if line.startswith("BROKEN") and "cache" in line]
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("edgehr fetch: ")
    if home != "/root":  # which this user may look into here
        assert ADVICE in done.stderr


def test_what_bench_needs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgehr.benchmark.state import Cores, State

    monkeypatch.setattr("edgehr.benchmark.state.read_cores", lambda: Cores("a processor", 2, 4, 1.5))
    monkeypatch.setattr(
        "edgehr.benchmark.state.read_state", lambda: State(["powersave"], 800.0, temperatures={"a": 61.0}, load=3.0)
    )
    found = entry("bench")
    assert found["state"] == "ok"
    assert found["detail"].startswith("2 of 4 cores, governor powersave, clock 800 MHz, temperature 61 °C; ")
    for said in ("may use 1.5 of 2 cores", "set it to performance", "the load is 3.0: end other programs"):
        assert said in found["detail"]
    monkeypatch.setattr("edgehr.benchmark.state.read_state", State)
    assert "governor, clock, temperature not readable here" in entry("bench")["detail"]


def test_what_tune_needs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgehr import dependencies

    assert entry("tune")["state"] == "ok"
    find_spec = dependencies.importlib.util.find_spec
    monkeypatch.setattr(
        dependencies.importlib.util, "find_spec", lambda name: None if name == "faster_coco_eval" else find_spec(name)
    )
    found = entry("tune")
    assert found["state"] == "missing"
    assert found["detail"].startswith("this needs faster_coco_eval: pip install 'edgehr[eval]'")
