"""HTML that needs no network: a filter that lets nothing through which would load something."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["data_uri", "seal"]

#: Dropped with all they hold: they load, run, or change how the rest is read.
DROPPED = {
    "applet",
    "audio",
    "embed",
    "frameset",
    "iframe",
    "math",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "plaintext",
    "portal",
    "script",
    "template",
    "textarea",
    "title",
    "video",
    "xmp",
}

#: Dropped, while what stands between their tags stays.
UNWRAPPED = {
    "base",
    "body",
    "form",
    "frame",
    "head",
    "html",
    "link",
    "meta",
    "param",
    "source",
    "track",
}

VOID = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "param",
    "source",
    "track",
    "wbr",
}

#: Attributes that make a browser fetch something (all but an anchor's `href`).
FETCHING = {
    "action",
    "background",
    "cite",
    "data",
    "formaction",
    "href",
    "longdesc",
    "ping",
    "poster",
    "src",
    "srcset",
    "xlink:href",
}

IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml)[;,]", re.IGNORECASE)
LINK = re.compile(r"(https?://|mailto:|#|(?![/\\])[^:]*$)", re.IGNORECASE)
STYLE_LOAD = re.compile(
    r"@import[^;]*;?|(?:image-set|src|url)\(\s*(?!['\"]?(?:data:image/|#))[^)]*\)?", re.IGNORECASE
)
STYLE_ESCAPE = re.compile(r"\\([0-9a-f]{1,6})\s?|\\", re.IGNORECASE)

IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}

Links = Callable[[str], str | None]


def data_uri(path: Path) -> str:
    """An image file as a data URI."""
    kind = IMAGE_TYPES[path.suffix.lower()]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def seal(fragment: str, *, folder: Path | None = None, link: Links = lambda target: target) -> str:
    """A fragment of HTML without anything that loads, runs, or leaves tags open.

    Images named relative to `folder` are embedded. `link` maps an anchor's target to the one to
    write, or to None for none. Anchors to other places stay: they are for the reader to follow,
    nothing follows them by itself.
    """
    sealer = _Sealer(folder, link)
    sealer.feed(fragment)
    sealer.close()
    return sealer.result()


class _Sealer(HTMLParser):
    """Writes again what it reads, less what must not be there."""

    def __init__(self, folder: Path | None, link: Links) -> None:
        super().__init__(convert_charrefs=False)
        self.folder, self.link = folder, link
        self.out: list[str] = []
        self.open: list[str] = []
        self.dropping: list[str] = []

    def result(self) -> str:
        return "".join(self.out) + "".join(f"</{tag}>" for tag in reversed(self.open))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.dropping or tag in DROPPED:
            if tag not in VOID:
                self.dropping.append(tag)
            return
        if tag in UNWRAPPED:
            return
        self.out.append(f"<{tag}{self._attributes(tag, attrs)}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.dropping:
            if tag in self.dropping:
                del self.dropping[len(self.dropping) - 1 - self.dropping[::-1].index(tag) :]
            return
        if tag not in self.open:
            return
        while (last := self.open.pop()) != tag:
            self.out.append(f"</{last}>")
        self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self.dropping:
            return
        in_style = bool(self.open) and self.open[-1] == "style"
        self.out.append(
            _style(data).replace("<", "")
            if in_style
            else data.replace("<", "&lt;").replace(">", "&gt;")
        )

    def handle_entityref(self, name: str) -> None:
        self._reference(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._reference(f"&#{name};")

    def _reference(self, text: str) -> None:
        if not self.dropping:
            self.out.append(text)

    def _attributes(self, tag: str, attrs: list[tuple[str, str | None]]) -> str:
        kept = {
            name: new
            for name, value in attrs
            if (new := self._attribute(tag, name, value or "")) is not None
        }
        if tag == "img":
            kept.setdefault("alt", "picture")
        if tag == "a" and "href" in kept:
            kept["rel"] = "noreferrer noopener"
        return "".join(f' {name}="{escape(value)}"' for name, value in kept.items())

    def _attribute(self, tag: str, name: str, value: str) -> str | None:
        if (
            name.startswith("on")
            or not re.fullmatch(r"[a-z][a-z0-9:_-]*", name)
            or name in ("target", "http-equiv")
        ):
            return None
        if name == "style":
            return _style(value)
        if tag == "a" and name == "href":
            target = value.strip()
            return self.link(target) if LINK.match(target) else None
        if name in FETCHING:
            return self._image(value.strip())
        return None if "url(" in value.lower() and "url(#" not in value.lower() else value

    def _image(self, value: str) -> str | None:
        if IMAGE.match(value) or value.startswith("#"):
            return value
        if self.folder is None or not LINK.match(value) or ":" in value:
            return None
        path = (self.folder / value).resolve()
        inside = path.is_relative_to(self.folder.resolve()) and path.suffix.lower() in IMAGE_TYPES
        return data_uri(path) if inside and path.is_file() else None


def _style(text: str) -> str:
    spelled = STYLE_ESCAPE.sub(lambda match: chr(min(int(match[1] or "20", 16), 0x10FFFF)), text)
    return STYLE_LOAD.sub("none", spelled)
