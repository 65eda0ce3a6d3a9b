"""Give package indexes the README, whose links lead to files that they do not have. pyproject.toml has all the rest."""

import re
from pathlib import Path

from setuptools import setup

REPOSITORY = "https://github.com/edgehr/edgehr"
ROOT = Path(__file__).parent
PICTURE = r"(!\[[^]]*\]\(|<img[^>]*? src=\"|srcset=\")"
LINK = r"(\]\(|href=\")"
BESIDE = r"(?!\w+:|#)"  # no address, and no heading of this page


def index_readme() -> str:
    """Return the README with links to the files of this version."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "edgehr" / "__init__.py").read_text(encoding="utf-8"))[1]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(PICTURE + BESIDE, rf"\1{REPOSITORY}/raw/v{version}/", text)
    return re.sub(LINK + BESIDE, rf"\1{REPOSITORY}/blob/v{version}/", text)


setup(long_description=index_readme(), long_description_content_type="text/markdown")
