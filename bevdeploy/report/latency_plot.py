"""Frame latencies as a histogram in inline SVG, with the budget and the percentiles of the card marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from bevdeploy.errors import OutputError

_WIDTH, _HEIGHT = 860, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 842, 58, 192
_BARS = 64


@dataclass(frozen=True)
class SvgDrawing:
    """Inline SVG written by this package; the page takes it as it is and colours it by its style sheet."""

    markup: str


def latency_histogram(
    latencies_ms: Sequence[float], marks_ms: Mapping[str, float], budget_ms: float | None = None
) -> SvgDrawing:
    """Histogram of frame latencies; `marks_ms` are the card's percentiles by name, `budget_ms` the target's.

    The axis ends beyond the 99.5th percentile, every mark, and the budget where it is less than four times as far;
    later frames stand in the last bar, and a line says how many they are.

    Raises:
        OutputError: there is no latency to draw, or one is not a finite positive number.
    """
    values = np.asarray(latencies_ms, np.float64)
    marks = {name: float(value) for name, value in marks_ms.items()}
    limits = [*marks.values(), *([] if budget_ms is None else [budget_ms])]
    if values.size == 0 or not np.isfinite([*values, *limits]).all() or min([*values, *limits]) <= 0:
        raise OutputError(f"latency plot: needs finite latencies above 0 ms, got {values.size} values, marks {marks}")
    shown = max([float(np.percentile(values, 99.5)), *marks.values()])
    budget_shown = budget_ms is not None and budget_ms <= 4 * shown
    if budget_ms is not None and budget_shown:
        shown = max(shown, budget_ms)
    step = _nice_step(shown, float(values.min()))
    low = math.floor(float(values.min()) * 0.98 / step) * step
    high = math.ceil(shown * 1.02 / step) * step
    counts, edges = np.histogram(np.clip(values, low, high), _BARS, (low, high))
    beyond = int((values > high).sum())

    def x(value_ms: float) -> float:
        return _LEFT + (value_ms - low) / (high - low) * (_RIGHT - _LEFT)

    tallest = int(counts.max())
    parts = [f'<line class="axis" x1="{_LEFT}" y1="{_BOTTOM}" x2="{_RIGHT}" y2="{_BOTTOM}"/>']
    for count, start, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            height = max(1.5, count / tallest * (_BOTTOM - _TOP))
            over = " over" if budget_ms is not None and start >= budget_ms else ""
            parts.append(
                f'<rect class="bar{over}" x="{x(start) + 0.5:.2f}" y="{_BOTTOM - height:.2f}" '
                f'width="{x(end) - x(start) - 1:.2f}" height="{height:.2f}" rx="1">'
                f"<title>{count} frames, {start:.2f} to {end:.2f} ms</title></rect>"
            )
    for tick in range(round((high - low) / step) + 1):
        value = low + tick * step
        parts.append(_text("tick", x(value), _BOTTOM + 18, f"{value:g}"))
        parts.append(f'<line class="axis" x1="{x(value):.2f}" y1="{_BOTTOM}" x2="{x(value):.2f}" y2="{_BOTTOM + 4}"/>')
    parts.append(_text("tick", (_LEFT + _RIGHT) / 2, _BOTTOM + 38, f"latency, ms; {values.size} frames"))
    parts.append(_text("tick end", _LEFT - 8, _TOP + 5, str(tallest)))
    parts.append(_text("tick end", _LEFT - 8, _BOTTOM + 1, "0"))
    if beyond:
        parts.append(_text("tick end", _RIGHT, _BOTTOM + 38, f"{beyond} beyond {high:g} ms in the last bar"))
    parts += _marks(
        [(x(value), f"{name} {value:.1f}" if value >= 10 else f"{name} {value:.2f}") for name, value in marks.items()]
    )
    if budget_ms is not None and budget_shown:
        parts.append(_line("budget", x(budget_ms), _TOP - 42))
        anchor = "end" if x(budget_ms) > (_LEFT + _RIGHT) / 2 else "start"
        shift = -7 if anchor == "end" else 7
        parts.append(_text(f"budget {anchor}", x(budget_ms) + shift, _TOP - 34, f"budget {budget_ms:g} ms"))
    elif budget_ms is not None:
        parts.append(_text("budget end", _RIGHT, _TOP - 34, f"budget {budget_ms:g} ms, far to the right"))
    label = f"Histogram of {values.size} frame latencies" + ("" if budget_ms is None else f", budget {budget_ms:g} ms")
    return SvgDrawing(
        f'<svg class="latency" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )


def _marks(places: list[tuple[float, str]]) -> list[str]:
    """Percentile lines; a label too near to the one before it goes a line higher."""
    parts: list[str] = []
    last_x, lifted = -1e9, False
    for x, text in sorted(places):
        lifted = x - last_x < 78 and not lifted
        top = _TOP - (22 if lifted else 8)
        parts.append(_line("mark", x, top + 3))
        parts.append(_text("mark", x, top, text))
        last_x = x
    return parts


def _nice_step(high: float, low: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that cuts the axis in five to ten."""
    rough = max(high - low, high * 0.05) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _line(kind: str, x: float, top: float) -> str:
    return f'<line class="{kind}" x1="{x:.2f}" y1="{top:.2f}" x2="{x:.2f}" y2="{_BOTTOM}"/>'


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.2f}" y="{y:.2f}">{escape(text)}</text>'
