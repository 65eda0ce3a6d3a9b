"""The documentation holds together: links and anchors resolve, pages are short, and the start page lists them all."""

from __future__ import annotations

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

from edgehr.cli.main import build_parser
from edgehr.zoo import get_card
from tests.conftest import ROOT

MAX_WORDS = 1200
MADE_TABLE = "## What was tried on every target"  # of docs/models.md; `make model-matrix` makes its rows
REPOSITORY = "https://github.com/edgehr/edgehr/blob/main/"
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
POINTER = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings that GitHub and MkDocs form in the same way, each once."""
    slugs = []
    for heading in HEADING.findall(prose(page)):
        slug = re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-")
        slugs.append(slug if "--" not in slug else "")  # MkDocs has one hyphen there
    return frozenset(slug for slug in slugs if slugs.count(slug) == 1)


def leads_nowhere(page: Path, link: str) -> bool:
    if link.startswith(REPOSITORY):
        page, link = ROOT / "README.md", link[len(REPOSITORY) :]
    elif re.match(r"[a-z]+:", link):
        return False
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = LINK.findall(prose(page))
    assert [link for link in links if leads_nowhere(page, link)] == []
    if DOCS in page.parents:  # the site holds docs/ alone
        assert [link for link in links if link.startswith("..") and "docs" not in _resolved(page, link).parts] == []


def _resolved(page: Path, link: str) -> Path:
    return (page.parent / link.partition("#")[0]).resolve().relative_to(ROOT)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_a_page_for_users_is_short(page: Path) -> None:
    text, heading, section = page.read_text(encoding="utf-8").partition(MADE_TABLE)
    section = "\n".join(line for line in section.splitlines() if not line.startswith("|"))
    assert len(f"{text}{heading}{section}".split()) <= MAX_WORDS, "move experiments and logs to docs/research/"


@pytest.mark.parametrize("folder", [DOCS, DOCS / "research"], ids=["docs", "research"])
def test_the_start_page_lists_every_page(folder: Path) -> None:
    start = folder / "README.md"
    listed = {link.partition("#")[0] for link in LINK.findall(prose(start))}
    assert {page.name for page in folder.glob("*.md")} - {start.name} - listed == set()


def commands(page: Path) -> list[str]:
    """The `edgehr` commands in a page's blocks of shell."""
    lines = [line for block in SHELL.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]
    parts = [part.partition("#")[0].strip() for line in lines for part in re.split(r" && | \| |: (?=edgehr )", line)]
    return [part for part in parts if part.startswith("edgehr ")]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_of_a_page_is_one_of_the_command_line(page: Path) -> None:
    for command in commands(page):
        arguments = build_parser().parse_args(shlex.split(command)[1:])  # a wrong one ends with the usage
        if arguments.command in ("convert", "fetch") and not re.fullmatch(r".*\.json|[A-Z]+", arguments.model):
            assert get_card(arguments.model)


def test_pointers_in_code_lead_to_pages() -> None:
    """Messages, docstrings and comments name pages, some with an anchor."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("this is no checkout")
    code = [ROOT / name for name in tracked if name.endswith((".py", ".toml")) or name == "Makefile"]
    found = {
        (str(path.relative_to(ROOT)), pointer)
        for path in code
        if path.is_file()
        for pointer in POINTER.findall(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 5
    assert {(name, pointer) for name, pointer in found if leads_nowhere(ROOT / "README.md", pointer)} == set()
