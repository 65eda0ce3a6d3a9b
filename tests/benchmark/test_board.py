"""A Jetson's state, read from files laid out as on the board."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgehr.benchmark.board import device_kinds, read_board


def test_no_jetson_no_board(tmp_path: Path) -> None:
    assert read_board(tmp_path) is None


def test_mode_and_clocks_are_read(tmp_path: Path) -> None:
    for name, text in {
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.0",
        "var/lib/nvpmodel/status": "pmode:0002",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_15W >\nCPU_ONLINE CORE_0 1",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
        "sys/class/devfreq/17000000.gpu/cur_freq": "624750000\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    board = read_board(tmp_path)
    assert board is not None
    assert board.to_dict() == {"power_mode": "MODE_15W", "clocks": "CPU 1510 MHz, GPU 625 MHz"}
    (tmp_path / "etc/nvpmodel.conf").unlink()
    (tmp_path / "sys/class/devfreq/17000000.gpu/cur_freq").unlink()
    board = read_board(tmp_path)
    assert board is not None
    assert board.to_dict() == {"power_mode": "2", "clocks": "CPU 1510 MHz"}


def test_nvpmodel_is_asked_where_its_files_do_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R36")
    program = tmp_path / "nvpmodel"
    program.write_text("#!/bin/sh\n[ \"$1\" = -q ] && printf 'NV Power Mode: MAXN_SUPER\\n2\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    board = read_board(tmp_path)
    assert board is not None
    assert board.power_mode == "MAXN_SUPER"
    program.write_text("#!/bin/sh\necho no such device >&2; exit 1\n")
    board = read_board(tmp_path)
    assert board is not None
    assert board.power_mode == "unknown"


def test_a_device_knows_its_kinds(tmp_path: Path) -> None:
    model = tmp_path / "proc" / "device-tree" / "model"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert device_kinds(tmp_path)[0] == "raspberry-pi-5-model-b-rev-1-0"
    assert device_kinds(tmp_path)[-1] == platform.machine().lower()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "nv_tegra_release").touch()
    assert "jetson" in device_kinds(tmp_path)
