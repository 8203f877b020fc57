"""Draws the report's figures as SVG; colours come from the page's style sheet."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from podmap.report.figures import Axis, Dot, HistoryInfo, ScatterInfo
from podmap.report.words import state_text

_TOP, _RIGHT, _BOTTOM, _LEFT = 14, 16, 34, 58
_JITTER = 0.5


class _Frame:
    """The drawing area inside the margins, and its two axes."""

    def __init__(self, width: int, height: int, x: Axis, y: Axis) -> None:
        self.width, self.height = width, height
        self._x, self._y = x, y

    @property
    def bottom(self) -> float:
        return self.height - _BOTTOM

    def x(self, value: float) -> float:
        return _LEFT + self._x.place(value) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.bottom - self._y.place(value) * (self.bottom - _TOP)

    def grid(self) -> Iterator[str]:
        for tick in self._y.ticks:
            at, end = f"{self.y(tick):.1f}", self.width - _RIGHT
            yield f'<line class="grid" x1="{_LEFT}" x2="{end}" y1="{at}" y2="{at}"/>'
            yield f'<text class="tick" x="{_LEFT - 8}" y="{at}" dy="4" text-anchor="end">'
            yield f"{tick_label(tick)}</text>"

    def x_ticks(self) -> Iterator[str]:
        for tick in self._x.ticks:
            yield self.x_label(self.x(tick), tick_label(tick))

    def x_label(self, at: float, text: str) -> str:
        return (
            f'<text class="tick" x="{at:.1f}" y="{self.bottom + 16:.0f}" text-anchor="middle">'
            f"{escape(text)}</text>"
        )

    def wrap(self, parts: Iterator[str] | list[str], *, title: str) -> str:
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg>'
        )


def history_svg(info: HistoryInfo) -> str:
    """Each trial's objective as a dot, the best so far as a stepped line."""
    frame = _Frame(1060, 300, info.x, info.y)
    parts = [*frame.grid(), *frame.x_ticks()]
    for number, state in info.misses:
        at, css = f"{frame.x(number):.1f}", state.value
        parts.append(
            f'<line class="miss {css}" x1="{at}" x2="{at}" y1="{frame.bottom - 7}" '
            f'y2="{frame.bottom}"><title>trial {number}: {state_text(state)}</title></line>'
        )
    path = []
    for place, (number, value) in enumerate(info.best):
        x, y = frame.x(number), frame.y(value)
        path.append(f"H{x:.1f}V{y:.1f}" if place else f"M{x:.1f} {y:.1f}")
    path.append(f"H{frame.width - _RIGHT}")
    parts.append(f'<path class="best" d="{"".join(path)}"/>')
    parts.extend(_dots(frame, info.dots, y_name=info.metric))
    parts.append(_axis_title(frame, "trial"))
    return frame.wrap(parts, title=f"{info.metric} of each trial and the best so far")


def scatter_svg(info: ScatterInfo, *, wide: bool = False) -> str:
    """One dot a trial; choices get a column each."""
    frame = _Frame(1060 if wide else 300, 340 if wide else 205, info.x, info.y)
    parts = list(frame.grid())
    dots = info.dots
    if info.categories:
        most = max(4, 26 // len(info.categories))
        for place, text in enumerate(info.categories):
            short = text if len(text) <= most else f"{text[: most - 1]}…"
            parts.append(frame.x_label(frame.x(place), short))
        dots = tuple(_spread(dot) for dot in dots)
    else:
        parts.extend(frame.x_ticks())
    if info.front:
        marked = sorted((dot.x, dot.y) for dot in dots if dot.mark)
        points = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in marked)
        parts.append(f'<polyline class="best" points="{points}"/>')
    parts.extend(_dots(frame, dots, y_name=info.y_name))
    if wide:
        parts.append(_axis_title(frame, info.x_name))
    return frame.wrap(parts, title=f"{info.y_name} against {info.x_name}")


def tick_label(value: float) -> str:
    """A tick's value in a short form."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        return f"{value:.6g}"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    if not exponent:
        mantissa, _, exponent = f"{value:e}".partition("e")
        mantissa = f"{float(mantissa):.4g}"
    return f"{mantissa}e{int(exponent)}"


def _dots(frame: _Frame, dots: tuple[Dot, ...], *, y_name: str) -> Iterator[str]:
    # The marked ones last, so that they lie on top.
    for dot in sorted(dots, key=lambda dot: dot.mark):
        kind, radius = ("dot mark", 5.5) if dot.mark else ("dot", 3.2)
        yield (
            f'<circle class="{kind}" cx="{frame.x(dot.x):.1f}" cy="{frame.y(dot.y):.1f}" '
            f'r="{radius}"><title>trial {dot.number}: {escape(y_name)} {tick_label(dot.y)}</title>'
            "</circle>"
        )


def _spread(dot: Dot) -> Dot:
    # The golden ratio spreads neighbours apart, the same way each time.
    aside = (dot.number * 0.6180339887) % 1 - 0.5
    return dot if dot.mark else Dot(dot.number, dot.x + aside * _JITTER, dot.y)


def _axis_title(frame: _Frame, text: str) -> str:
    return (
        f'<text class="axis" x="{frame.width - _RIGHT}" y="{frame.height - 4}" '
        f'text-anchor="end">{escape(text)}</text>'
    )
