"""Build what a disk may hold when the power goes: from a log of calls, every state there can be.

The model is that of a journaling file system that promises no more than POSIX does. Names (made,
renamed, removed) reach the disk in the order in which they changed, some time after the call, and
at the latest when their folder is synced. Bytes reach it when their file is synced; until then
nothing, half, the length with zeros in place of the second half, or all of them may be there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from faults import Call

NONE, HALF, ZEROS, ALL = FATES = "none", "half", "zeros", "all"
FOLDER, LINK, FILE = "folder", "link", "file"
Tree = tuple[tuple[str, str, bytes], ...]  # path, kind, content
Whole = dict[str, set[bytes]]  # path -> what was renamed there, all its bytes


@dataclass
class Node:
    """A file, folder or link, under whatever name."""

    kind: str
    data: bytearray = field(default_factory=bytearray)
    synced: int = 0  # so many of the bytes are on the disk for certain

    def content(self, fate: str) -> bytes:
        """Return the bytes as they are after the cut."""
        sure, loose = bytes(self.data[: self.synced]), bytes(self.data[self.synced :])
        half = len(loose) // 2
        if fate == ZEROS:
            return sure + loose[:half] + bytes(len(loose) - half)
        return sure + loose[: {NONE: 0, HALF: half, ALL: len(loose)}[fate]]


@dataclass(frozen=True)
class Change:
    """A name that comes to stand for something, or (node None) for nothing any more."""

    at: int  # the place of the call in the log
    path: str
    node: Node | None


@dataclass(frozen=True)
class State:
    """A tree that may be found after a cut, and what had been announced by then."""

    tree: Tree
    marks: tuple[Call, ...]
    cut: int  # so many entries of the log had happened

    def build(self, folder: Path) -> None:
        """Make the tree in a new folder."""
        folder.mkdir(parents=True)
        for name, kind, content in self.tree:
            path = folder / name
            if kind == FOLDER:
                path.mkdir()
            elif kind == LINK:
                path.symlink_to(content.decode())
            else:
                path.write_bytes(content)


class Log:
    """Calls played back, entry by entry: what the run sees, and what of it is on the disk."""

    def __init__(self) -> None:
        self.names: dict[str, Node] = {}
        self.changes: list[Change] = []
        self.open: dict[int, Node] = {}
        self.synced: dict[str, int] = {}  # folder -> the place in the log where it was synced
        self.whole: Whole = {}

    def change(self, at: int, path: str, node: Node | None) -> None:
        self.changes.append(Change(at, path, node))
        if node is None:
            self.names.pop(path, None)
        else:
            self.names[path] = node

    def play(self, at: int, call: Call) -> None:
        """Let one more call happen."""
        if not call.done or not call.number:
            return
        getattr(self, f"_{call.kind}")(at, call)

    def _open(self, at: int, call: Call) -> None:
        node = self.names.get(call.path)
        if node is None:
            node = Node(FILE)
            self.change(at, call.path, node)
        elif call.truncates:
            node.data.clear()
            node.synced = 0
        self.open[call.file] = node

    def _write(self, at: int, call: Call) -> None:
        self.open[call.file].data += call.data

    def _fsync(self, at: int, call: Call) -> None:
        if call.file:
            self.open[call.file].synced = len(self.open[call.file].data)
        else:
            self.synced[call.path] = at

    def _replace(self, at: int, call: Call) -> None:
        node = self.names[call.path]
        if node.kind == FOLDER:
            raise NotImplementedError("the product renames a folder")
        self.whole.setdefault(call.other, set()).add(bytes(node.data))
        self.change(at, call.other, node)
        self.change(at, call.path, None)

    def _symlink(self, at: int, call: Call) -> None:
        self.change(at, call.path, Node(LINK, bytearray(call.other.encode()), len(call.other)))

    def _mkdir(self, at: int, call: Call) -> None:
        if call.path != ".":  # the root is there in any case
            self.change(at, call.path, Node(FOLDER))

    def _unlink(self, at: int, call: Call) -> None:
        self.change(at, call.path, None)

    _rmdir = _unlink

    def loose(self) -> list[int]:
        """Return the places of the changes that a cut may undo."""
        found = [c.at for c in self.changes if c.at > self.synced.get(parent(c.path), -1)]
        return list(dict.fromkeys(found))

    def seen(self) -> dict[str, tuple[str, bytes]]:
        """Return the files and links as the run itself sees them, with what they hold."""
        return {p: (n.kind, bytes(n.data)) for p, n in self.names.items() if n.kind != FOLDER}

    def unsynced(self) -> bool:
        return any(node.synced < len(node.data) for node in self.names.values())

    def tree(self, reached: int, fate: str) -> Tree:
        """Return the tree where of the loose changes those before `reached` are on the disk."""
        there: dict[str, Node] = {}
        for change in self.changes:
            if change.at < reached or change.at <= self.synced.get(parent(change.path), -1):
                if change.node is None:
                    there.pop(change.path, None)
                else:
                    there[change.path] = change.node
        found = []
        for path, node in sorted(there.items()):
            above = [str(p) for p in PurePosixPath(path).parents if str(p) != "."]
            if all(p in there for p in above):  # what lies in a folder that is not there is gone
                found.append((path, node.kind, node.content(fate)))
        return tuple(found)


def parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def states(calls: Sequence[Call], since: int = 0) -> list[State]:
    """Return the states that a cut at any moment of the log may leave, each of them once.

    Moments before `since` are left out. Where two moments may leave the same tree, what was
    announced by the later one has to hold. Trees that differ only in the bytes of files which nobody reads count as one.
    """
    log = Log()
    marks: list[Call] = []
    found: dict[object, State] = {}
    for at, call in enumerate([*calls, None]):
        for reached in [*log.loose(), at] if at >= since else ():
            for fate in FATES if log.unsynced() else (ALL,):
                tree = log.tree(reached, fate)
                known = tuple(entry[:2] if unpromised(entry[0]) else entry for entry in tree)
                found[known] = State(tree, tuple(marks), at)
        if call is None:
            break
        log.play(at, call)
        if not call.number:
            marks.append(call)
    return list(found.values())


def joined(*logs: Sequence[Call]) -> list[Call]:
    """Return the logs of processes that came one after the other as a single one."""
    found: list[Call] = []
    for calls in logs:
        offset = max((c.file for c in found), default=0)
        found += [replace(c, file=c.file + offset if c.file else 0) for c in calls]
    return found


def played(calls: Sequence[Call]) -> Log:
    """Return the state of things after all the calls."""
    log = Log()
    for at, call in enumerate(calls):
        log.play(at, call)
    return log


def torn_names(state: State, whole: Whole) -> Iterator[str]:
    """Yield what stands under a final name and never was renamed there whole."""
    for path, kind, content in state.tree:
        if kind == FILE and not unpromised(path) and content not in whole.get(path, set()):
            yield f"{path} holds {len(content)} bytes that nobody renamed there"


def unpromised(path: str) -> bool:
    """Say whether nothing is promised of a file's content: a temporary one, a lock, its holder."""
    return PurePosixPath(path).name.startswith((".tmp-", ".lock", ".owner"))
