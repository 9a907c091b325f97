"""Style sheets of a page written into its tags, since some mail programs read no style sheets.

css-inline decides which rule holds for which tag; the page itself is not written anew: only `style` attributes change
in it. So placeholders, conditions, conditional comments and the style sheets, which phones and dark mode need, stay as
they are, octet for octet.
"""

import re
from typing import Final

from css_inline import CSSInliner, InlineError

from caravan.channels.html_tags import Tag, nesting, tags
from caravan.channels.liquid_marks import Marked

# Nothing is fetched, from the network or from this machine: only what stands in the page counts.
_INLINER: Final = CSSInliner(keep_style_tags=False, load_remote_stylesheets=False)
_PLACE: Final = "data-caravan-place"
_EVERYWHERE: Final = ("", "all", "screen")  # media for which a sheet holds without a condition
_DEEPEST: Final = 400  # tags in one another
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|$)", re.DOTALL)


def inlined(page: str) -> str:
    """The page (a Liquid template of HTML) with its style sheets written into its tags as well.

    What a tag's own `style` says still wins. A sheet is left out that holds only under a condition: one with a `media`,
    in a Liquid block, or with a Liquid tag in it; so are tags of which it is a condition what style they have. A page
    whose styles can't be read stays as it is.
    """
    marked = Marked.of(page)
    found = list(tags(marked.text))
    if not any(tag.name == "style" for tag in found):
        return page
    stripped = _stripped(marked, found)
    if nesting(stripped) > _DEEPEST:
        return page
    try:
        styled = _INLINER.inline(stripped)
    except InlineError:
        return page
    styles = {
        int(place.text): style.value
        for tag in tags(styled)
        if (place := tag.get(_PLACE)) and (style := tag.get("style")) and place.text.isdigit()
    }
    pieces, at = list[str](), 0
    for number, tag in enumerate(found):
        if found_style := styles.get(number):
            start, stop, value = _with_style(tag, found_style[1:-1].strip().rstrip(";"), marked)
            pieces += [marked.text[at:start], value]
            at = stop
    return marked.back("".join([*pieces, marked.text[at:]]))


def _stripped(marked: Marked, found: list[Tag]) -> str:
    """The page as css-inline gets it: each tag has its number and no style of its own, what Liquid does is gone, and
    only sheets that always hold are there."""
    text, pieces, at = marked.text, list[str](), 0
    for number, tag in enumerate(found):
        pieces.append(_without_words(marked, text[at : tag.start]))
        if tag.name != "link":
            pieces.append(_numbered(tag, number))
        at = tag.stop
        if tag.name == "style":
            sheet = text[tag.stop : tag.content_stop]
            pieces.append(sheet if _always_holds(marked, tag, sheet) else "")
            at = tag.content_stop
    return "".join([*pieces, _without_words(marked, text[at:])])


def _numbered(tag: Tag, number: int) -> str:
    seen = set[str]()
    kept = list[str]()
    for each in tag.attributes:
        if each.name not in ("style", _PLACE) and each.name not in seen:
            kept.append(f" {each.name}={each.value}" if each.value else f" {each.name}")
        seen.add(each.name)
    return f'<{tag.name} {_PLACE}="{number}"{"".join(kept)}>'


def _without_words(marked: Marked, text: str) -> str:
    """Words in a table would be moved before it, so none is left between tags."""
    return marked.pattern.sub("", _COMMENT.sub("", text))


def _always_holds(marked: Marked, tag: Tag, sheet: str) -> bool:
    media = tag.get("media")
    everywhere = media is None or media.text.strip().lower() in _EVERYWHERE
    return everywhere and not marked.has_tag(sheet) and marked.depth(tag.start) == 0


def _with_style(tag: Tag, style: str, marked: Marked) -> tuple[int, int, str]:
    """What to write into a tag, and where: from and up to which place."""
    own = next((each for each in tag.attributes if each.name == "style"), None)
    if own is None:
        # Behind all others: a style that a placeholder brings along is the first one, which counts.
        end = tag.attributes[-1].stop if tag.attributes else tag.name_end
        return end, end, "" if _is_conditional(tag, marked) else f' style="{style}"'
    quote = "'" if own.value[:1] == "'" else '"'
    if quote == "'":
        style = style.replace("'", "&#39;")
    said = own.text.strip()
    equals = "" if own.value or own.has_equals else "="
    return own.start, own.stop, f"{equals}{quote}{style}{'; ' if said else ''}{said}{quote}"


def _is_conditional(tag: Tag, marked: Marked) -> bool:
    """Whether Liquid decides if the tag has a style of its own: then an added one could not give way to it."""
    return any("style" in each.name and marked.pattern.search(each.name) for each in tag.attributes)
