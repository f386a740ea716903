# SPDX-License-Identifier: GPL-2.0
"""
How Sphinx renders these documents by themselves. In a kernel tree the kernel's own conf.py does. So
what they use is what that has, too: two things of it that Sphinx lacks are here, each in short.
"""

import re

from docutils import nodes
from sphinx.ext.graphviz import Graphviz
from sphinx.transforms.post_transforms import SphinxPostTransform

project = "ghostswap"
author = copyright = "the authors of ghostswap"
extensions = ["sphinx.ext.graphviz"]
root_doc = "index"
exclude_patterns = ["ABI"]
highlight_language = "none"
smartquotes = False
graphviz_output_format = "svg"

html_theme = "alabaster"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {"description": "swap areas without space on any disk", "page_width": "1160px", "code_font_size": "0.8em"}
html_sidebars = {"**": ["about.html", "searchbox.html", "navigation.html"]}


class KernelFigure(Graphviz):
    """The kernel's ``kernel-figure``, of a .dot file; its content is the caption."""

    def run(self):
        self.options["caption"] = " ".join(self.content)
        self.content = []
        return super().run()


class DocumentNames(SphinxPostTransform):
    """Makes links of names such as Documentation/mm/ghostswap.rst, as the kernel's automarkup does."""

    default_priority = 5
    name = re.compile(r"Documentation/([\w/-]+)\.rst")

    def run(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            if self.name.search(text) and not isinstance(text.parent, (nodes.literal, nodes.literal_block)):
                text.parent.replace(text, list(self.parts(text.astext())))

    def parts(self, text):
        end = 0
        for match in self.name.finditer(text):
            yield nodes.Text(text[end:match.start()])
            yield self.link(match)
            end = match.end()
        yield nodes.Text(text[end:])

    def link(self, match):
        document = match.group(1)
        title = self.env.titles.get(document)
        if title is None:
            return nodes.Text(match.group())
        uri = self.app.builder.get_relative_uri(self.env.docname, document)
        return nodes.reference("", title.astext(), internal=True, refuri=uri)


def setup(app):
    """Called by Sphinx."""
    app.add_directive("kernel-figure", KernelFigure)
    app.add_post_transform(DocumentNames)
