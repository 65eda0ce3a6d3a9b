"""What surrounds the code: package metadata, workflows, issue forms and hooks agree with each other."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import tomllib

from tests.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
PYTHONS = {"3.10", "3.11", "3.12", "3.13"}


def read(name: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def pins(extra: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", "\n".join(EXTRAS[extra]), re.MULTILINE))


def test_python_versions_are_the_same_everywhere() -> None:
    classifiers = PYPROJECT["project"]["classifiers"]
    assert {line.split(" :: ")[-1] for line in classifiers if re.search(r":: 3\.\d+$", line)} == PYTHONS
    assert PYPROJECT["project"]["requires-python"] == ">=3.10"
    jobs = read(".github/workflows/tests.yml")["jobs"]
    assert set(jobs["device"]["strategy"]["matrix"]["python"]) == PYTHONS
    # What is pinned for `dev` needs 3.11.
    assert set(jobs["quick"]["strategy"]["matrix"]["python"]) == PYTHONS - {"3.10"}
    for job in ("quick", "device"):
        systems = {name.split("-")[0] for name in jobs[job]["strategy"]["matrix"]["os"]}
        assert systems == {"ubuntu", "macos", "windows"}
        assert "ubuntu-24.04-arm" in jobs[job]["strategy"]["matrix"]["os"]


def test_workflows_name_extras_and_targets_that_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in sorted(ROOT.glob(".github/workflows/*.yml")):
        for job in read(str(path))["jobs"].values():
            assert job["timeout-minutes"] <= 60
            for command in (step.get("run", "") for step in job["steps"]):
                for target in re.findall(r"\bmake ([\w-]+)", command):
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{path.name}: make {target}"
                for names in re.findall(r"(?:\.|whl)\[([\w,-]+)\]", command):
                    assert set(names.split(",")) <= set(EXTRAS), f"{path.name}: {names}"
    matrix = read(".github/workflows/tests.yml")["jobs"]["device"]["strategy"]["matrix"]
    assert {*matrix["runtime"], *(entry["runtime"] for entry in matrix["include"])} <= set(EXTRAS)


def test_only_publishing_may_write() -> None:
    for path in ROOT.glob(".github/workflows/*.yml"):
        workflow = read(str(path))
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert "permissions" not in job or name in ("publish", "pypi", "github")
    assert read(".github/workflows/release.yml")["jobs"]["pypi"]["permissions"] == {"id-token": "write"}


def test_ruff_has_one_version() -> None:
    (ruff,) = (repo for repo in read(".pre-commit-config.yaml")["repos"] if repo["repo"].endswith("ruff-pre-commit"))
    assert ruff["rev"].removeprefix("v") == pins("dev")["ruff"] == pins("docs")["ruff"]


def test_issue_forms_ask_for_what_helps() -> None:
    forms = {path.stem: read(str(path)) for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.stem != "config"}
    assert set(forms) == {"bug", "model"}
    for form in forms.values():
        ids = [field["id"] for field in form["body"]]
        assert len(set(ids)) == len(ids)
    required = {field["id"] for field in forms["bug"]["body"] if field.get("validations", {}).get("required")}
    assert required == {"what", "command", "doctor"}


def test_the_license_is_the_same_everywhere() -> None:
    citation = read("CITATION.cff")
    assert citation["license"] == PYPROJECT["project"]["license"] == "Apache-2.0"
    assert citation["repository-code"] == PYPROJECT["project"]["urls"]["Source"]


def test_package_indexes_get_a_readme_without_links_to_files_beside_it() -> None:
    code = "import setuptools; setuptools.setup = lambda **given: print(given['long_description']); import setup"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = re.findall(r"\]\(([^)\s]+)|(?:src|href|srcset)=\"([^\"]+)", done.stdout)
    links = [link or attribute for link, attribute in targets]
    assert len(links) > 10
    assert [link for link in links if not re.match(r"https?://|#|mailto:", link)] == []
    assert any("/raw/v" in link for link in links)


def test_dev_brings_what_the_site_is_built_with() -> None:
    """Then `make test` builds it, and so does what tests every change."""
    assert any("docs" in re.findall(r"[\w-]+", line)[1:] for line in EXTRAS["dev"] if line.startswith("edgehr["))
