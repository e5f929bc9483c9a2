"""Turn the equations of a page into MathML, so that reading them needs no script and no network."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

EQUATION = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\(?P<end>[)\]])</\1>', re.DOTALL
)


def on_page_content(text: str, page: Any, **_: Any) -> str:
    """Replace what the arithmatex extension marked as an equation."""

    def equation(match: re.Match[str]) -> str:
        latex = html.unescape(match["latex"]).strip()
        try:
            return convert(latex, display="block" if match["end"] == "]" else "inline")
        except Exception as error:  # the converter has no common base class for its errors
            raise PluginError(f"{page.file.src_uri}: no MathML for ${latex}$: {error!r}") from error

    return EQUATION.sub(equation, text)
