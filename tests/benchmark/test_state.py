"""The state of machines that are laid out as files, and what is said of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgehr.benchmark.state import (
    Cores,
    State,
    Use,
    UseMeter,
    machine,
    read_cores,
    read_state,
    remarks,
    runtime_version,
)

CPU = "sys/devices/system/cpu"
CORES = Cores("a processor", 4, 4, None)


def lay_out(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_nothing_is_there(tmp_path: Path) -> None:
    assert read_state(tmp_path) == State()
    assert read_cores(tmp_path).quota is None
    assert remarks(CORES, State(), State(), Use(0.0)) == []
    assert UseMeter(root=tmp_path).read() == Use(0.0)


def test_a_laptop(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: A Processor @ 2 GHz\ncpu MHz\t\t: 800.0\n",
            "proc/loadavg": "1.25 0.5 0.1 2/300 1234",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
            f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "2200000\n",
            f"{CPU}/cpu0/cpufreq/scaling_max_freq": "4200000\n",
            f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
            f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "4\n",
            f"{CPU}/intel_pstate/no_turbo": "1\n",
            "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
            "sys/class/thermal/thermal_zone0/temp": "61000\n",
            "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
            "sys/class/thermal/thermal_zone1/temp": "62500\n",
            "sys/class/thermal/thermal_zone2/temp": "asleep\n",
            "sys/fs/cgroup/cpu.max": "50000 100000\n",
        },
    )
    found = read_state(tmp_path)
    assert found.governors == ["powersave"]
    assert (found.clock_mhz, found.clock_limit_mhz, found.turbo, found.load) == (2000, 4200, False, 1.25)
    assert found.temperatures == {"x86_pkg_temp": 61.0, "x86_pkg_temp thermal_zone1": 62.5}
    assert found.throttled == 7
    cores = read_cores(tmp_path)
    assert (cores.processor, cores.quota) == ("A Processor @ 2 GHz", 0.5)
    said = remarks(cores, found, replace(found, throttled=9, clock_mhz=1500.0), Use(9.0, 0.4, 0.05))
    assert [line.split(":")[0] for line in said] == [
        f"this container may use 0.5 of {cores.usable} cores",
        "the clock's governor is powersave",
        "cores got too hot and were slowed down meanwhile",
        "the clock fell from 2000 to 1500 MHz",
        "other programs kept 0.4 cores busy meanwhile",
        "the host of this virtual machine took 5 % of its time for others",
    ]


def test_a_raspberry_pi(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "proc/cpuinfo": "processor : 0\nHardware : BCM2835\nModel : Raspberry Pi 4 Model B Rev 1.4\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
            f"{CPU}/cpufreq/boost": "1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    found = read_state(tmp_path)
    assert found.throttling == ["under-voltage", "throttled"]
    assert found.turbo is True
    assert read_cores(tmp_path).quota is None
    assert read_cores(tmp_path).processor == "BCM2835"
    path = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    path.write_text("0x40000")
    assert read_state(tmp_path).throttling == ["throttled since start"]
    assert "the board reports throttled since start" in remarks(CORES, State(), read_state(tmp_path), Use(1.0))[0]


def test_a_jetson(tmp_path: Path) -> None:
    lay_out(tmp_path, {"etc/nv_tegra_release": "# R36", "var/lib/nvpmodel/status": "pmode:0000"})
    assert read_state(tmp_path).power_mode == "0"
    assert read_state(tmp_path).clocks == "clocks not readable"


def test_what_others_and_the_host_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tick, cores = os.sysconf("SC_CLK_TCK"), os.cpu_count() or 1
    clock = [50.0]
    monkeypatch.setattr("edgehr.benchmark.state.time.monotonic", lambda: clock[0])
    before = {"proc/stat": "cpu  0 0 0 900 0 0 0 0 0 0\ncpu0 ...", "proc/77/stat": "77 (a b) R " + " ".join("0" * 20)}
    meter = UseMeter([77], lay_out(tmp_path, before))
    clock[0] += 10
    steal = int(tick * 2 * cores)
    rest = ["0"] * 20
    rest[10] = str(4 * tick)  # of our own busy process, which does not count as others'
    lay_out(
        tmp_path,
        {"proc/stat": f"cpu  {12 * tick} 0 0 0 0 0 0 {steal} 0 0", "proc/77/stat": "77 (a b) R " + " ".join(rest)},
    )
    found = meter.read()
    assert found.seconds == 10
    assert found.others == pytest.approx(0.8, abs=0.1)  # this process has computed a little, too
    assert found.stolen == pytest.approx(0.2)


def test_this_machine() -> None:
    assert "cores, " in machine()
    assert runtime_version("numpy") == "numpy"
    assert runtime_version("onnxruntime").startswith("onnxruntime ")


def test_arm_cores_have_names(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    lines = (
        "processor\t: 0\nCPU part\t: 0xd05\n\nprocessor\t: 1\nCPU part\t: 0xd0b\n\nprocessor\t: 2\nCPU part\t: 0x9\n"
    )
    (tmp_path / "proc" / "cpuinfo").write_text(lines)
    assert read_cores(tmp_path).processor == "Cortex-A55 and Cortex-A76 and ARM core 0x9"
