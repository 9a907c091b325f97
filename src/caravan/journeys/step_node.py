"""One step in a journey file, to find lines in."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from caravan.journeys import document
from caravan.journeys.document import Node, Scalar, Sequence
from caravan.journeys.model import Step

Path = tuple[str | int, ...]


class StandIn(Step):
    """In place of a step that can't be used: its edges as far as they can be seen. It is never in a journey."""

    edges: list[tuple[str, str]]

    @property
    def takes_time(self) -> bool:
        return True  # whether it does is not known, so a cycle through it is no problem yet

    def targets(self) -> list[tuple[str, str]]:
        return self.edges


class StepNode:
    """One step in the file, to find lines in."""

    def __init__(self, root: Node, index: int) -> None:
        self.root = root
        self.index = index

    def place(self, path: Path) -> str:
        """Like `vip_offer.email.to`; a step without an id is `steps[2]`."""
        id = self.root.entries.get("id") if isinstance(self.root, document.Mapping) else None
        text = id.text if isinstance(id, Scalar) and id.text else f"steps[{self.index}]"
        return text + join(path)

    def stand_in(self, step_types: Mapping[str, type[Step]]) -> "StandIn":
        """A step with this one's id and edges, as far as they can be seen."""
        entries = self.root.entries if isinstance(self.root, document.Mapping) else {}
        kind = next((key for key in entries if key in step_types), "")
        content = entries.get(kind)
        edges: list[tuple[Path, Node | None]] = [(("next",), entries.get("next"))]
        for path, branches in _lists_of_edges(kind, content, step_types):
            for index, branch in enumerate(branches.items):
                if isinstance(branch, document.Mapping):
                    edges += [((*path, index, key), branch.entries.get(key)) for key in ("to", "else")]
        if isinstance(content, document.Mapping):
            edges += [((kind, key), content.entries.get(key)) for key in step_types[kind].leads]
        found = [
            (join(path).lstrip("."), node.text) for path, node in edges if isinstance(node, Scalar) and not node.empty
        ]
        id = entries.get("id")
        return StandIn.model_construct(id=id.text if isinstance(id, Scalar) else "", edges=found)

    def at(self, path: Path) -> Node | None:
        """What `path` leads to."""
        node: Node | None = self.root
        for piece in path:
            if isinstance(node, document.Mapping):
                node = node.entries.get(str(piece))
            elif isinstance(node, Sequence) and isinstance(piece, int) and piece < len(node.items):
                node = node.items[piece]
            else:
                return None
        return node

    def as_written(self, path: Path) -> Path:
        """The path to a key below the kind; that of one which stands beside it, as some may."""
        entries = self.root.entries if isinstance(self.root, document.Mapping) else {}
        return path[1:] if len(path) > 1 and self.at(path[:2]) is None and path[1] in entries else path

    def line_of(self, path: Path) -> int:
        """The line of what `path` leads to, or of the last thing on the way that there is."""
        node, line = self.root, self.root.line
        for piece in path:
            if isinstance(node, document.Mapping) and piece in node.entries:
                line = node.lines[str(piece)]
                node = node.entries[str(piece)]
            elif isinstance(node, Sequence) and isinstance(piece, int) and piece < len(node.items):
                node = node.items[piece]
                line = node.line
            else:
                break
        return line


def empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.empty


def plain(node: Node, typed: bool) -> Any:
    """The node as Python data; scalars are texts, unless `typed` asks for JSON's types."""
    if isinstance(node, Scalar):
        return node.value() if typed else node.text
    if isinstance(node, Sequence):
        return [plain(each, typed) for each in node.items]
    kept = node.entries if typed else {key: each for key, each in node.entries.items() if not empty(each)}
    return {key: plain(each, typed) for key, each in kept.items()}


def _lists_of_edges(
    kind: str, content: Node | None, step_types: Mapping[str, type[Step]]
) -> Iterator[tuple[Path, Sequence]]:
    """The lists below a kind in which branches stand."""
    if isinstance(content, Sequence):
        yield (kind,), content
    elif isinstance(content, document.Mapping):
        for key in step_types[kind].leads:
            if isinstance(branches := content.entries.get(key), Sequence):
                yield (kind, key), branches


def split(where: str) -> Path:
    """`split[0].to` as ("split", 0, "to")."""
    pieces = re.findall(r"\[([0-9]+)\]|([^.\[\]]+)", where)
    return tuple(int(index) if index else name for index, name in pieces)


def join(path: Path) -> str:
    return "".join(f"[{piece}]" if isinstance(piece, int) else f".{piece}" for piece in path)
