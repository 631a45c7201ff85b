"""Session descriptions (RFC 8866) as sections of attributes: what an offer says, and text for an answer.

aiortc's parser was measured and left out: it knows neither `rid` nor `simulcast`, and answers bad input with
AssertionError, StopIteration or KeyError. Here bad input is an `SdpError`, and what we don't know is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .errors import SdpError

MAX_LINES = 4000
MAX_SECTIONS = 32


@dataclass(slots=True)
class Format:
    """One payload type of a section: `rtpmap`, `fmtp` and `rtcp-fb` together."""

    payload_type: int
    name: str = ""
    """In upper case."""
    clock_rate_hz: int = 0
    channels: int = 1
    parameters: dict[str, str] = field(default_factory=dict)
    feedback: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Section:
    """One m-line and its attributes; those at session level are looked up through `Description`."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[str]:
        return (value for key, value in self.attributes if key == name)

    @property
    def direction(self) -> str:
        directions = ("sendrecv", "sendonly", "recvonly", "inactive")
        return next((key for key, _ in self.attributes if key in directions), "sendrecv")

    def rtp_formats(self) -> list[Format]:
        """In the order of preference; a payload type that is no number or has no rtpmap is left out."""
        known = {number: Format(number) for number in map(_payload_type, self.formats) if number is not None}
        for value in self.all("rtpmap"):
            _read_rtpmap(known, value)
        for value in self.all("fmtp"):
            number, _, parameters = value.partition(" ")
            if (format_ := known.get(_integer(number))) is not None:
                format_.parameters = _parameters(parameters)
        for value in self.all("rtcp-fb"):
            number, _, feedback = value.partition(" ")
            for format_ in known.values() if number == "*" else (known.get(_integer(number)),):
                if format_ is not None:
                    format_.feedback.add(feedback.strip())
        return [format_ for format_ in known.values() if format_.name]

    def extensions(self) -> dict[str, int]:
        """Header extension URIs and their ids (RFC 8285)."""
        found: dict[str, int] = {}
        for value in self.all("extmap"):
            number, _, uri = value.partition(" ")
            identifier = _integer(number.partition("/")[0])
            if 0 < identifier < 256 and uri:
                found[uri.split()[0]] = identifier
        return found

    def ssrcs(self) -> list[int]:
        """Declared sources, repair streams (FID) left out."""
        repairs = {
            _integer(ssrc)
            for group in self.all("ssrc-group")
            if group.startswith("FID ")
            for ssrc in group.split()[2:]
        }
        declared = dict.fromkeys(_integer(value.partition(" ")[0]) for value in self.all("ssrc"))
        return [ssrc for ssrc in declared if ssrc >= 0 and ssrc not in repairs]


@dataclass(slots=True)
class Description:
    session: Section
    sections: list[Section]

    def of(self, section: Section, name: str) -> str | None:
        """An attribute that may stand in the section or for the whole session."""
        value = section.get(name)
        return self.session.get(name) if value is None else value


def parse(text: str) -> Description:
    """SdpError when it isn't SDP. Attributes are kept as they came."""
    lines = text.replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise SdpError(f"the description has more than {MAX_LINES} lines")
    if lines[0].strip() != "v=0":
        raise SdpError("a session description starts with v=0; send the offer as it came from the browser")
    session = current = Section("session", 0, "", [])
    sections: list[Section] = []
    for line in filter(None, map(str.strip, lines)):
        kind, equals, value = line.partition("=")
        if not equals or len(kind) != 1 or "\r" in value or "\0" in value:  # RFC 8866 9, byte-string
            raise SdpError(f"not a line of SDP: {line[:60]!r}")
        if kind == "m":
            current = _section(value)
            sections.append(current)
        elif kind == "a":
            name, _, attribute = value.partition(":")
            current.attributes.append((name, attribute))
    if not sections:
        raise SdpError("the description has no m-line")
    if len(sections) > MAX_SECTIONS:
        raise SdpError(f"the description has more than {MAX_SECTIONS} m-lines")
    return Description(session, sections)


def _section(value: str) -> Section:
    words = value.split()
    port = _integer(words[1].partition("/")[0]) if len(words) > 3 else -1
    if not 0 <= port < 65536:
        raise SdpError(f"not an m-line: {value[:60]!r}")
    return Section(words[0], port, words[2], words[3:])


def _integer(text: str) -> int:
    """−1 for what is no plain number: it is then no payload type, id or SSRC that we could use."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1


def _payload_type(text: str) -> int | None:
    number = _integer(text)
    # 64–95 would be taken for RTCP on the same port (RFC 5761 4).
    return number if 0 <= number < 128 and not 64 <= number < 96 else None


def _read_rtpmap(known: dict[int, Format], value: str) -> None:
    number, _, encoding = value.partition(" ")
    name, _, rest = encoding.strip().partition("/")
    rate, _, channels = rest.partition("/")
    format_ = known.get(_integer(number))
    if format_ is not None and _integer(rate) > 0:
        format_.name, format_.clock_rate_hz = name.upper(), _integer(rate)
        format_.channels = max(1, _integer(channels))


def _parameters(text: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in text.split(";") if part.strip())
    return {key.strip().lower(): value.strip() for key, _, value in pairs}
