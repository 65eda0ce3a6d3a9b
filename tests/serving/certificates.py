"""Certificates of an authority of one's own, by the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    """An authority, and what it signed for 127.0.0.1."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make certificates with")
    authority, key = folder / "ca.pem", folder / "ca.key"
    made = Certificates(authority, folder / "server.pem", folder / "server.key")
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    _run([*new, "-subj", "/CN=authority of a test", "-keyout", str(key), "-out", str(authority)])
    signed = ["-CA", str(authority), "-CAkey", str(key), "-addext", "basicConstraints=critical,CA:FALSE"]
    named = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    _run([*new, *named, *signed, "-keyout", str(made.key), "-out", str(made.certificate)])
    return made


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)
