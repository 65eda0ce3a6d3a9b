"""Hooks of MkDocs: what the site has beyond the pages in docs/.

- The navigation is that of docs/README.md: a tab for each heading, with the pages that are linked below it. A folder
  whose README.md is linked is a section with the pages that are linked there.
- The API reference is made of api.toml, which must name all that `edgehr.__all__` does.
- Below the page of `edgehr web-demo` is what that writes for the packaged models, where it needs no network for it.

A page, link, anchor or name that leads nowhere is a warning of MkDocs, and ends a strict build.
"""

from __future__ import annotations

import ast
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import tomllib
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from edgehr.errors import EdgehrError
from edgehr.live.web_demo import make_folder
from edgehr.live.web_demo.models import packaged_suffix
from edgehr.live.web_demo.npm import RUNTIMES, is_cached
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "build" / "site-package" / "edgehr"
BESIDE = ("calib", "converters", "runtimes")  # folders of the repository that install inside the package
DEMO_PAGE, DEMO = "web-demo.md", "web-demo/live"
BUTTON = '<a class="md-button md-button--primary" href="live/">Open the page with the sample models</a>'
LOG = logging.getLogger("mkdocs.hooks.edgehr")
PAGE = re.compile(r"\]\((?!https?:)([\w./-]+\.md)\)")


@event_priority(100)  # before mkdocstrings looks for the package
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the navigation, and lay the package out as it installs: its modules are found by their names."""
    shutil.rmtree(PACKAGE, ignore_errors=True)
    only_modules = shutil.ignore_patterns("*.[!p]*", "*.p[!y]*", "__pycache__")
    shutil.copytree(ROOT / "edgehr", PACKAGE, ignore=only_modules)
    for name in BESIDE:
        shutil.copytree(ROOT / name, PACKAGE / name, ignore=only_modules)
    groups = re.split(r"^## ", (DOCS / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    config.nav = [
        {"Home": "README.md"},
        *({title.strip(): _pages(links)} for title, _, links in (group.partition("\n") for group in groups)),
        {"API": ["api/README.md", *(f"api/{page['file']}.md" for page in _api_pages())]},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the API reference."""
    pages = _api_pages()
    missing = _public_names() - {name for page in pages for name in page.get("public", [])}
    if missing:
        raise PluginError(f"docs/site/api.toml lacks {', '.join(sorted(missing))}")
    files.append(File.generated(config, "api/README.md", content=_api_overview(pages)))
    for page in pages:
        files.append(File.generated(config, f"api/{page['file']}.md", content=_api_page(page)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link the demo below its page, where it will be there."""
    if page.file.src_uri != DEMO_PAGE or not _demo_needs_no_network():
        return markdown
    title, _, text = markdown.partition("\n")
    return f"{title}\n\n{BUTTON}\n{text}"


def on_post_build(config: MkDocsConfig) -> None:
    """Write the demo, or say in a line why it is left out."""
    folder = Path(config.site_dir) / DEMO
    if not _demo_needs_no_network():
        LOG.info("%s is left out: run edgehr web-demo once, which fills the cache", DEMO)
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        make_folder(DEFAULT_MODEL, folder, detector=DEFAULT_DETECTOR)
    except EdgehrError as error:
        raise PluginError(f"{DEMO}: {error}") from None


def _demo_needs_no_network() -> bool:
    _, packages = RUNTIMES[packaged_suffix()]
    return all(is_cached(package) for package in packages)


def _pages(links: str, folder: str = "") -> list[Any]:
    """List the pages that a text links, in its order, for the navigation."""
    pages: list[Any] = []
    for name in dict.fromkeys(PAGE.findall(links)):
        start = DOCS / folder / name
        if start.name == "README.md" and not folder:
            text = start.read_text(encoding="utf-8")
            pages.append({text.partition("\n")[0].lstrip("# "): [name, *_pages(text, f"{name.rpartition('/')[0]}/")]})
        else:
            pages.append(folder + name)
    return pages


def _api_pages() -> list[dict[str, Any]]:
    pages: list[dict[str, Any]] = tomllib.loads((DOCS / "site" / "api.toml").read_text(encoding="utf-8"))["page"]
    return pages


def _public_names() -> set[str]:
    """Read `edgehr.__all__` without importing anything."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value)) - {"__version__"}
    raise PluginError("edgehr/__init__.py has no __all__")


def _full_names(page: dict[str, Any]) -> list[str]:
    return [f"edgehr.{name}" for name in (*page.get("public", []), *page.get("inner", []))]


def _api_page(page: dict[str, Any]) -> str:
    return f"# {page['title']}\n\n{page['text']}\n\n" + "".join(f"::: {name}\n\n" for name in _full_names(page))


def _api_overview(pages: list[dict[str, Any]]) -> str:
    text = (
        "# API reference\n\nApplications import everything from the top level: `edgehr.PoseEstimator`. The pages "
        "called *Extend* are for adding [a model, task, target or runtime](../architecture.md).\n"
    )
    for page in pages:
        names = ", ".join(f"[`{name.rpartition('.')[2]}`][{name}]" for name in _full_names(page))
        text += f"\n## [{page['title']}]({page['file']}.md)\n\n{page['text']}\n\n{names}\n"
    return text
