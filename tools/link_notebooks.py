"""Links of the notebooks: previous, contents, next; and each word of the glossary where first used.
And where slides begin, for "jupyter nbconvert --to slides".

    .venv/bin/python tools/link_notebooks.py            # makes them, and notebooks/README.md
    .venv/bin/python tools/link_notebooks.py --check    # exit code 1 if one is missing or wrong

Order and titles are those of the notebooks, times are what each of them says on top. Run it after
adding, renaming or rewriting one; running it twice changes nothing.
"""

import argparse
import json
import re
import sys

from workshop_utils import files, paths
from workshop_utils.running import notebooks

CONTENTS = paths.NOTEBOOKS_DIR / "README.md"
_NAVIGATION = re.compile(r"(?m)^(?:previous: )?\[.*\]\((?:\.\./)?README\.md\).*$|^Next: \[.*$")
_GLOSSARY_LINK = re.compile(r"\[([^\]]+)\]\(glossary\.md#[\w-]+\)")
# Where no link goes: code, links, headings, tables, display.
_NOT_PROSE = re.compile(r"(?m)```[\s\S]*?```|`[^`\n]+`|\[[^\]]*\]\([^)]*\)|^#.*$|^\|.*$|^ {4}.*$")

_SLIDES = {"#": "slide", "##": "slide", "###": "subslide"}

_HEAD = """\
# Contents

The course in order. Each notebook starts in a fresh kernel and passes files on to the next ones.

| notebook | about | needs |
|---|---|---|
"""
_FOOT = """
The first six are the course, {minutes} minutes for a person who reads; those after them are for
whoever is early.

- [Glossary](glossary.md): the words of the course
- [The project](../README.md): what it is, and how to start it
"""


def title(cells):
    """'2 · Dataset', from a notebook's first cell."""
    return notebooks.source(cells[0]).splitlines()[0].removeprefix("# ")


def terms():
    """The words of the glossary, its headings; 'tensor arena' comes before 'tensor'."""
    words = re.findall(r"(?m)^## (.+)$", paths.GLOSSARY.read_text(encoding="utf-8"))
    return sorted(words, key=len, reverse=True)


def anchor(word):
    """The place of a word in the glossary. GitHub makes it of the heading, in small letters, and
    JupyterLab with its capitals: a heading that has some needs an <a id> of its own."""
    return word.lower().replace(" ", "-")


def navigation(number, names, titles):
    """One line of links for notebook `number` (from 0)."""
    links = [f"[{title}]({name})" for title, name in zip(titles, names, strict=True)]
    before = [f"previous: {links[number - 1]}"] if number else []
    after = [f"next: {links[number + 1]}"] if number + 1 < len(links) else []
    return " | ".join([*before, "[Contents](README.md)", *after])


def linked(cells, line, words):
    """The notebook's cells with `line` at the top and at the end, and the glossary's words linked.

    cells: list of dictionaries, changed in place. words: list of text.
    """
    for before, cell in zip([None, *cells], cells, strict=False):
        slide = _slide(cell, before)
        if slide:
            cell["metadata"]["slideshow"] = {"slide_type": slide}
        else:
            cell["metadata"].pop("slideshow", None)
        if cell["cell_type"] == "markdown":
            _set(cell, _GLOSSARY_LINK.sub(r"\1", notebooks.source(cell)))
    head, _, rest = _NAVIGATION.sub("", notebooks.source(cells[0])).partition("\n")
    _set(cells[0], f"{head}\n\n{line}\n\n{rest.strip()}")
    _set(cells[-1], f"{_NAVIGATION.sub('', notebooks.source(cells[-1])).strip()}\n\n{line}")
    for word in words:
        # The goals on top are for reading, so the body comes first.
        for cell in cells[1:]:
            if cell["cell_type"] == "markdown" and _link_first(cell, word, words):
                break
    return cells


def _slide(cell, before):
    """What begins with a cell in a deck: a slide with a heading, another one below it with prose
    after code, and what answers a question only when one goes on. None: it goes on."""
    if cell["cell_type"] == "markdown":
        after_code = "subslide" if before and before["cell_type"] == "code" else None
        return _SLIDES.get(notebooks.source(cell).partition(" ")[0], after_code)
    asks = (
        before
        and before["cell_type"] == "code"
        and "= None  # your turn" in notebooks.source(before)
    )
    return "fragment" if asks else None


def _link_first(cell, word, words):
    """Link the first use of a word in a cell's prose. Returns whether there was one.

    A word within a longer one of `words` is not used.
    """
    text = notebooks.source(cell)
    barred = [match.span() for match in _NOT_PROSE.finditer(text)]
    for longer in words:
        if word in longer and word != longer:
            barred += [use.span() for use in _uses(longer, text)]
    for use in _uses(word, text):
        if not any(start < use.end() and use.start() < end for start, end in barred):
            link = f"[{use[0]}](glossary.md#{anchor(word)})"
            _set(cell, text[: use.start()] + link + text[use.end() :])
            return True
    return False


def _uses(word, text):
    return re.finditer(rf"\b{word}(?:s|es)?\b", text, re.IGNORECASE)


def contents(pages, titles):
    """The text of the table of contents. pages: {file name: cells}."""
    rows, minutes = "", 0
    for number, (name, cells) in enumerate(pages.items(), 1):
        said = re.search(r"(?m)^About (\d+) minutes · needs: (.+)$", notebooks.source(cells[0]))
        if not said:
            sys.exit(f"{name} does not say on top how long it takes and what it needs.")
        rows += f"| [{titles[number - 1]}]({name}) | {said[1]} minutes | {said[2]} |\n"
        minutes += int(said[1]) if number <= 6 else 0
    return _HEAD + rows + _FOOT.format(minutes=minutes)


def wanted():
    """{path: text} of every file that this script looks after, as it should be."""
    content = {
        path: files.read_notebook(path) for path in notebooks.notebooks().values() if path.is_file()
    }
    names = [path.name for path in content]
    titles = [title(notebook["cells"]) for notebook in content.values()]
    texts = {}
    for number, (path, notebook) in enumerate(content.items()):
        linked(notebook["cells"], navigation(number, names, titles), terms())
        texts[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    by_name = {path.name: notebook["cells"] for path, notebook in content.items()}
    texts[CONTENTS] = contents(by_name, titles)
    return texts


def _set(cell, text):
    cell["source"] = text.splitlines(keepends=True)


def main():
    """Write what is not as it should be, or with --check only say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 instead")
    options = parser.parse_args()
    stale = {
        path: text
        for path, text in wanted().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        print(path.relative_to(paths.PROJECT), file=sys.stderr)
        if not options.check:
            files.write(path, text)
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
