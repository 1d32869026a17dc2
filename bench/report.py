"""One page that shows the newest run and how it came about: every group, and the trend.

    python bench/report.py [--runs DIRECTORY] [--to DIRECTORY]     the page and its pictures
    python bench/report.py --table                                 the newest run as text

The page is one file that needs no other; each plot is also written as a PNG.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bars
from harness.results import ROOT, RUNS, Result, Run, anchor_of, saved_runs, spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REPORT = ROOT / "build" / "bench"

OURS, OURS_PALE, ANCHOR, OTHER, INK, QUIET, GRID, WRONG = (
    "#0f766e",
    "#5fb3ab",
    "#475569",
    "#b6c2d1",
    "#1e293b",
    "#64748b",
    "#e2e8f0",
    "#dc2626",
)

PALE = ("kycli uncached", "kycli by apsw alone")
"""Not what users get: the scale of the trend leaves them out."""
TREND_RUNS = 40
"""How many of the newest runs the trend shows."""


@dataclass(frozen=True)
class Plot:
    """A plot as it stands in the page, and the file that it is in as well."""

    title: str
    note: str
    svg: bytes
    png: bytes
    description: str

    @property
    def file(self) -> str:
        words = "".join(c if c.isalnum() else " " for c in self.title).split()
        return "-".join(words).lower() + ".png"


# ---------------------------------------------------------------- text


def table(run: Run) -> Iterator[str]:
    """Yield the lines of a run as text: each group, the fastest first."""
    for group, results in run.groups().items():
        anchor = anchor_of(results)
        yield ""
        yield f"{group:37} {'median':>10} {'p99':>10}   x {anchor.peer if anchor else '-'}"
        for result in sorted(results, key=lambda result: result.median):
            median = spoken(result.median, result.unit)
            p99 = "" if result.p99 is None else spoken(result.p99, result.unit)
            ratio = "" if anchor is None else f"{result.median / anchor.median:.2f}"
            wrong = "" if result.correct else "   WRONG ANSWERS"
            yield f"  {result.peer:35} {median:>10} {p99:>10} {ratio:>8}{wrong}"


# ---------------------------------------------------------------- plots


def plain(axes: Axes) -> None:
    """Take the lines away that carry no information."""
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=8.5, labelcolor=QUIET)
    axes.set_axisbelow(True)


def rendered(drawing: Figure, title: str, note: str, description: str) -> Plot:
    svg, png = io.BytesIO(), io.BytesIO()
    drawing.savefig(svg, format="svg", metadata={"Date": None})
    drawing.savefig(png, format="png", dpi=160)
    return Plot(title, note, svg.getvalue(), png.getvalue(), description)


def colour(result: Result, anchor: Result | None) -> str:
    if not result.correct:
        return WRONG
    if result.peer.startswith("ky"):
        return OURS_PALE if result.peer in PALE else OURS
    return ANCHOR if result is anchor else OTHER


def group_plot(group: str, results: Sequence[Result]) -> Plot:
    """Plot a group: a bar for each median, and a line from it to the 99th percentile."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ordered = sorted(results, key=lambda result: -result.median)
    anchor = anchor_of(results)
    unit = ordered[0].unit
    drawing = Figure(figsize=(6.4, 0.5 + 0.34 * len(ordered)), layout="constrained")
    axes = drawing.add_subplot()
    plain(axes)
    least = min((result.median for result in ordered if result.median > 0), default=1e-9)
    most = max(result.p99 or result.median for result in ordered)
    # A logarithm has no zero to begin at; half a decade below the fastest shows its bar.
    start = least / 3.2
    for row, result in enumerate(ordered):
        shade = colour(result, anchor)
        axes.barh(row, max(0, result.median - start), left=start, height=0.62, color=shade)
        reach = max(start, result.median)
        if result.p99 is not None:
            reach = max(reach, result.p99)
            axes.plot([result.median, reach], [row, row], color=shade, linewidth=1.4)
            axes.plot([reach], [row], marker="|", markersize=8, color=shade, markeredgewidth=1.4)
        label = spoken(result.median, result.unit)
        if anchor is not None and result is not anchor:
            label += f"  {_times(result.median / anchor.median)}"
        if not result.correct:
            label += "  wrong answers"
        axes.annotate(
            label,
            (reach, row),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
            fontweight="bold" if result.peer.startswith("ky") else "normal",
        )
    axes.set_xscale("log")
    axes.set_xlim(start, start * (most / start) ** 1.34)
    axes.set_yticks(range(len(ordered)), [result.peer for result in ordered])
    for tick, result in zip(axes.get_yticklabels(), ordered, strict=True):
        tick.set_fontsize(9.5)
        tick.set_color(OURS if result.peer.startswith("ky") else INK)
        tick.set_fontweight("bold" if result.peer.startswith("ky") else "normal")
    axes.xaxis.set_major_locator(LogLocator(base=10))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda figure, _: spoken_power(figure, unit)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=GRID, linewidth=1)
    size = max(result.size for result in results)
    rounds = max(result.rounds for result in results)
    note = f"{rounds:,} rounds of {size:,} operation{'s' if size > 1 else ''}"
    description = "; ".join(
        f"{result.peer} {spoken(result.median, result.unit)}" for result in reversed(ordered)
    )
    return rendered(drawing, group, note, description)


def spoken_power(figure: float, unit: str) -> str:
    """Return a power of ten without needless digits."""
    number, name = spoken(figure * 1.000001, unit).split()
    return f"{float(number.replace(',', '')):g} {name}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}×" if ratio < 9.95 else f"{ratio:,.0f}×"


def trend_plot(runs: Sequence[Run]) -> Plot:
    """Plot what each saved run measured of kycli, as a multiple of its anchor."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    ratios = [run.ratios() for run in runs]
    ours = {group for group, peer in ratios[-1] if peer.startswith("ky")}
    groups = {group: found for group, found in runs[-1].groups().items() if group in ours}
    columns = 4
    rows = math.ceil(len(groups) / columns) or 1
    layout = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.12)
    drawing = Figure(figsize=(13.2, 1.7 * rows), layout=layout)
    for index, (group, results) in enumerate(groups.items()):
        axes = drawing.add_subplot(rows, columns, index + 1)
        plain(axes)
        peers = [r.peer for r in results if r.peer.startswith("ky") and r.peer not in PALE]
        highest = 0.0
        for peer, shade in zip(peers, (OURS, OURS_PALE), strict=False):
            points = [(n, r[group, peer]) for n, r in enumerate(ratios) if (group, peer) in r]
            if not points:
                continue
            highest = max(highest, *(ratio * 1.25 for _, ratio in points))
            axes.plot(*zip(*points, strict=True), color=shade, linewidth=1.8, marker="o", ms=3.2)
            below = 9 * (peer != peers[0])
            axes.annotate(
                _times(points[-1][1]),
                points[-1],
                xytext=(7, -below),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=shade,
                fontweight="bold",
                annotation_clip=False,
            )
        if highest > 1:
            axes.axhline(1, color=ANCHOR, linewidth=1, linestyle=(0, (2, 2)))
        axes.set_ylim(0, highest or 1)
        axes.set_xlim(-0.1, max(1, len(runs) - 1) * 1.16)
        axes.set_xticks([])
        axes.grid(axis="y", color=GRID, linewidth=1)
        axes.set_title(group, fontsize=9, color=INK, loc="left")
    saved = "1 run" if len(runs) == 1 else f"{len(runs)} runs, oldest on the left"
    note = f"{saved}; the dashed line is the anchor"
    return rendered(drawing, "Trend", note, f"kycli's multiples: {saved}")


# ---------------------------------------------------------------- the page

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f1f5f9; color: #1e293b;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1360px; margin: 0 auto; padding: 32px 28px 48px; }
h1 { font-size: 28px; margin: 0 0 4px; letter-spacing: -0.01em; }
h1 b { color: #0f766e; }
h2 { font-size: 19px; margin: 36px 0 12px; }
p { margin: 4px 0; max-width: 78ch; color: #475569; }
.key span { display: inline-block; margin: 8px 18px 0 0; white-space: nowrap; }
.key i { display: inline-block; width: 12px; height: 12px; border-radius: 3px;
  margin-right: 6px; vertical-align: -1px; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 18px;
  align-items: start; }
figure { margin: 0; padding: 16px 18px 12px; background: #fff; border-radius: 12px;
  border: 1px solid #e2e8f0; }
figcaption { display: flex; justify-content: space-between; align-items: baseline; gap: 12px; }
figcaption b { font-size: 16px; }
figcaption small { color: #64748b; }
figure img { width: 100%; height: auto; display: block; margin-top: 6px; }
table { border-collapse: collapse; background: #fff; border: 1px solid #e2e8f0;
  border-radius: 12px; }
td, th { text-align: left; padding: 5px 16px; border-bottom: 1px solid #e2e8f0; }
th { color: #64748b; font-weight: 600; }
tr.MISSED td { color: #dc2626; }
"""


def page(run: Run, plots: Sequence[Plot], trend: Plot) -> str:
    """Return the whole page."""
    colours = {
        "kycli": OURS,
        "kycli, its cache off": OURS_PALE,
        "the anchor": ANCHOR,
        "peers": OTHER,
        "wrong answers": WRONG,
    }
    key = "".join(
        f'<span><i style="background:{shade}"></i>{name}</span>' for name, shade in colours.items()
    )
    promises = {result.peer: result.durability for result in run.results if result.durability}
    rows = "".join(
        f"<tr><td>{html.escape(peer)}</td><td>{html.escape(durability)}</td></tr>"
        for peer, durability in promises.items()
    )
    wrong = sum(not result.correct for result in run.results)
    checked = f"{wrong} gave wrong answers" if wrong else "all of them answered right"
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>kycli: benchmarks of {run.when[:10]}</title>
<style>{STYLE}</style>
<main>
<h1><b>kycli</b> beside its peers</h1>
<p>{html.escape(run.machine)}. Measured {run.when} at {html.escape(run.commit)}:
{len(run.results)} measurements, every answer checked; {checked}.</p>
<p>A bar is the median time of one operation, the line from it reaches to the 99th percentile, and
the scale is logarithmic. The multiple is of the anchor, a bare APSW cursor (of starting Python, for
the command line): times differ from machine to machine and hour to hour, multiples hardly do.
Where a round has many operations, the percentile is of rounds; a single one is timed with about
0.2 µs of overhead.</p>
<p class="key">{key}</p>
<h2>Operations</h2>
<div class="grid">{"".join(_figure(plot) for plot in plots)}</div>
<h2>Trend of kycli's multiples</h2>
{_figure(trend)}
<h2>Bars</h2>
{bars_table(run)}
<h2>What each store promises of a call that returned</h2>
<table><tr><th>store</th><th>durability</th></tr>{rows}</table>
</main>
</html>
"""


def bars_table(run: Run) -> str:
    """Return the bars that the run has measured, as a table."""
    head = "<tr><th>operation</th><th>beside</th><th>figure</th><th>bar</th><th></th></tr>"
    rows = "".join(
        f'<tr class="{verdict.word}">'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in verdict.cells[:-1])
        + "</tr>"
        for verdict in bars.judged(run)
        if verdict.figure is not None
    )
    return f"<table>{head}{rows}</table>" if rows else "<p>None was measured.</p>"


def _figure(plot: Plot) -> str:
    picture = base64.b64encode(plot.svg).decode()
    return (
        f"<figure><figcaption><b>{html.escape(plot.title)}</b>"
        f"<small>{html.escape(plot.note)}</small></figcaption>"
        f'<img alt="{html.escape(plot.description)}" src="data:image/svg+xml;base64,{picture}">'
        "</figure>\n"
    )


def write(runs: Sequence[Run], directory: Path) -> Path:
    """Write the page of the newest run, and the pictures; return the page's path."""
    plots = [group_plot(group, results) for group, results in runs[-1].groups().items()]
    trend = trend_plot(runs[-TREND_RUNS:])
    directory.mkdir(parents=True, exist_ok=True)
    for plot in (*plots, trend):
        (directory / plot.file).write_bytes(plot.png)
    path = directory / "report.html"
    path.write_text(page(runs[-1], plots, trend), encoding="utf-8")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=RUNS, help="where runs are saved")
    parser.add_argument("--to", type=Path, default=REPORT, help="where the page goes")
    parser.add_argument("--table", action="store_true", help="print the newest run instead")
    options = parser.parse_args()
    runs = saved_runs(options.runs)
    if not runs:
        print(f"no run is saved in {options.runs}; `make bench` saves one", file=sys.stderr)
        return 1
    if options.table:
        print(*table(runs[-1]), sep="\n")
    else:
        print(write(runs, options.to))
    return 0


if __name__ == "__main__":
    sys.exit(main())
