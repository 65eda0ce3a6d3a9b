"""docs/licenses.md has each package that an extra names, with the license that its metadata has."""

from __future__ import annotations

import importlib.util
import re
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "licenses.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made() -> Any:
    spec = importlib.util.spec_from_file_location("licenses", ROOT / "docs" / "site" / "licenses.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_package_of_an_extra_has_a_row(made: Any) -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.+?)(?: \*)? \|$", PAGE.partition("## Copyleft")[0], re.MULTILINE))
    assert set(rows) == {name for names in made.groups().values() for name in names}, "make licenses"
    for name, row in rows.items():
        try:
            distribution(name)
        except PackageNotFoundError:
            continue
        assert row == made.license_of(name), "make licenses"


def test_licenses_that_ask_for_sources_are_marked_and_explained(made: Any) -> None:
    for name in made.brought([name for names in made.groups().values() for name in names]):
        kind = made.license_of(name)
        assert name in made.COPYLEFT or not re.search(r"GPL|MPL|EPL|CDDL|EUPL", kind), f"{name}: {kind}"
    for name, what in made.COPYLEFT.items():
        assert f"| `{name}` | {what} |" in PAGE or name not in PAGE
    for meaning in ("**LGPL libraries**", "**GPL**", "**MPL-2.0**"):
        assert meaning in PAGE
