# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws the ratios as a bar chart and writes it as PNG, with nothing but the standard library.

A Canvas holds the pixels; lines are drawn smooth by their distance to each pixel; letters are a few
strokes each. The chart: one group per workload, one bar per engine, on a logarithmic scale.
"""

import math
import struct
import zlib

from guest import BenchError
from report import SETS, ratio

# Letters as strokes on a grid five wide (0-4) and nine high: capitals and ascenders reach from row
# 0 to row 6, small letters from row 2, descenders to row 8. A stroke is a run of "column row" pairs.
STROKES = {
    "a": ["12324346", "44140516263645"], "b": ["0006", "0312324445362605"],
    "c": ["4332120305163645"], "d": ["4046", "4332120305163645"],
    "e": ["044443321203051636"], "f": ["4030202126", "0242"],
    "g": ["4332120305163645", "42473818"], "h": ["0006", "031232434446"],
    "i": ["2226", "2020"], "j": ["32372818", "3030"], "k": ["0006", "4204", "1346"],
    "l": ["10202536"], "m": ["0206", "0312222326", "2332424346"], "n": ["0206", "031232434446"],
    "o": ["123243453616050312"], "p": ["0208", "0312324345361605"],
    "q": ["4248", "4332120305163645"], "r": ["0206", "0422324243"],
    "s": ["4332120304143445361605"], "t": ["1015263645", "0232"], "u": ["0205163645", "4246"],
    "v": ["022642"], "w": ["0216233642"], "x": ["0246", "4206"], "y": ["0226", "42261808"],
    "z": ["02420646"],
    "A": ["0602204246", "0444"], "B": ["0006", "003041423303", "3344453606"],
    "C": ["4130100105163645"], "D": ["0006", "003041453606"], "E": ["40000646", "0333"],
    "F": ["400006", "0333"], "G": ["41301001051636454323"], "H": ["0006", "4046", "0343"],
    "I": ["1030", "2026", "1636"], "J": ["4045361605"], "K": ["0006", "4003", "1346"],
    "L": ["000646"], "M": ["0600234046"], "N": ["06004640"], "O": ["103041453616050110"],
    "P": ["06003041423303"], "Q": ["103041453616050110", "2546"],
    "R": ["06003041423303", "2346"], "S": ["413010010213434445361605"],
    "T": ["0040", "2026"], "U": ["000516364540"], "V": ["002640"], "W": ["0016233640"],
    "X": ["0046", "4006"], "Y": ["002340", "2326"], "Z": ["00400646"],
    "0": ["103041453616050110", "3214"], "1": ["022026", "0646"], "2": ["01103041420646"],
    "3": ["0110304142334445361605", "1333"], "4": ["300444", "3036"],
    "5": ["4000033344453606"], "6": ["40100205163645443303"], "7": ["004016"],
    "8": ["103041423313020110", "3344453616050413"], "9": ["06364441301001021343"],
    ".": ["2626"], ",": ["2617"], ":": ["2323", "2626"], "-": ["0444"], "/": ["0640"],
    "(": ["30111536"], ")": ["10313516"], "=": ["0343", "0545"], "+": ["0444", "2226"],
    "_": ["0747"], "'": ["2021"], "%": ["0640", "0011", "3546"],
}

INK, MUTED, GRID, PAPER = (34, 34, 40), (110, 110, 120), (222, 222, 228), (255, 255, 255)
ENGINE_COLOURS = {"bt": (20, 110, 180), "tcg": (214, 120, 40), "kvm": (50, 140, 80),
                  "qemu-kvm": (150, 90, 160)}


class Canvas:
    def __init__(self, width, height):
        self.width, self.height = width, height
        self.rows = [bytearray(bytes(PAPER) * width) for _ in range(height)]

    def blend(self, x, y, colour, cover):
        if 0 <= x < self.width and 0 <= y < self.height and cover > 0:
            row = self.rows[y]
            for i in range(3):
                at = 3 * x + i
                row[at] = round(row[at] + (colour[i] - row[at]) * min(cover, 1))

    def fill(self, left, top, right, bottom, colour):
        left, right = max(0, round(left)), min(self.width, round(right))
        if right > left:
            for y in range(max(0, round(top)), min(self.height, round(bottom))):
                self.rows[y][3 * left:3 * right] = bytes(colour) * (right - left)

    def strokes(self, lines, colour, thickness):
        """Draws lines that belong together, so that their joints are not darker: each pixel is
        covered by as much as the nearest line covers it."""
        cover = {}
        for x0, y0, x1, y1 in lines:
            reach = thickness / 2 + 1
            dx, dy = x1 - x0, y1 - y0
            square = dx * dx + dy * dy
            for y in range(math.floor(min(y0, y1) - reach), math.ceil(max(y0, y1) + reach) + 1):
                for x in range(math.floor(min(x0, x1) - reach),
                               math.ceil(max(x0, x1) + reach) + 1):
                    along = ((x - x0) * dx + (y - y0) * dy) / square if square else 0
                    along = min(1, max(0, along))
                    distance = math.hypot(x - x0 - along * dx, y - y0 - along * dy)
                    part = thickness / 2 + 0.5 - distance
                    if part > cover.get((x, y), 0):
                        cover[x, y] = part
        for (x, y), part in cover.items():
            self.blend(x, y, colour, part)

    def text(self, x, y, text, colour=INK, size=2.0, align="left"):
        """`y` is the middle of the capitals; `size` is pixels per step of the letters' grid."""
        advance = 6 * size
        if align != "left":
            x -= (len(text) * advance - size) * (1 if align == "right" else 0.5)
        lines = []
        for letter in text:
            for stroke in STROKES.get(letter, []):
                points = [(x + int(stroke[i]) * size, y + (int(stroke[i + 1]) - 3) * size)
                          for i in range(0, len(stroke) - 1, 2)]
                lines += [(*a, *b) for a, b in zip(points, points[1:])]
            x += advance
        self.strokes(lines, colour, size * 0.85)

    def png(self):
        """Portable Network Graphics (ISO 15948): header, one compressed image, end."""
        def chunk(kind, data):
            body = kind + data
            return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        image = b"".join(b"\0" + bytes(row) for row in self.rows)       # filter 0: none
        return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
                chunk(b"IDAT", zlib.compress(image, 9)) + chunk(b"IEND", b""))


def chart_rows(report, engines):
    """Rows of the chart: (label, engine -> ratio to native), None for a gap; means come last."""
    rows = []
    for kind, title in SETS:
        values = [(work["name"], {engine: ratio(report, work, engine, "native")
                                  for engine in engines})
                  for work in report["workloads"] if work["set"] == kind]
        values = [row for row in values if any(row[1].values())]
        if not values:
            continue
        means = report["means"][kind]
        values.append(("geometric mean", {
            engine: means.get(f"{engine}/native", {}).get("ratio") for engine in engines}))
        rows.append((title, values))
    return rows


def write(report, path):
    engines = [engine for engine in report["engines"] if engine != "native"]
    groups = chart_rows(report, engines)
    if not groups:
        raise BenchError("there is nothing to plot: a plot shows ratios to native, so it needs "
                         "'native' and another engine")
    everything = [value for _, rows in groups for _, values in rows
                  for value in values.values() if value]
    low = min(0.5, *everything) * 0.9
    high = max(2, *everything) * 1.6

    bar, gap, head = 13, 10, 34
    group_height = len(engines) * bar + gap
    height = 110 + sum(head + len(rows) * group_height for _, rows in groups) + 40
    left, right, width = 200, 1060, 1100
    canvas = Canvas(width, height)

    def place(value):
        return left + (right - left) * math.log(value / low) / math.log(high / low)

    canvas.text(24, 28, "Time relative to the native CPU (less is better)", size=2.4)
    x = 24
    for engine in engines:
        canvas.fill(x, 58, x + 18, 70, ENGINE_COLOURS.get(engine, MUTED))
        canvas.text(x + 26, 64, engine)
        x += 26 + 12 * len(engine) + 30
    top, bottom = 86, height - 40
    for decade in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for step in (1, 2, 5):
            value = step * 10.0 ** decade
            if low < value < high:
                at = place(value)
                canvas.fill(at, top, at + 1, bottom, MUTED if value == 1 else GRID)
                canvas.text(at, bottom + 16, f"{value:g}x", MUTED, 1.6, "centre")
    y = top
    for title, rows in groups:
        canvas.text(24, y + head / 2, title, MUTED)
        y += head
        for label, values in rows:
            canvas.text(left - 14, y + len(engines) * bar / 2, label, INK, 1.9, "right")
            for i, engine in enumerate(engines):
                if values.get(engine):
                    start, end = sorted((place(1), place(values[engine])))
                    bar_top = y + i * bar
                    canvas.fill(start, bar_top, max(end, start + 2), bar_top + bar - 2,
                                ENGINE_COLOURS.get(engine, MUTED))
                    canvas.text(max(end, place(1)) + 8, bar_top + bar / 2 - 1,
                                f"{values[engine]:.2f}", INK, 1.3)
            y += group_height
    with open(path, "wb") as file:
        file.write(canvas.png())
