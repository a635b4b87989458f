"""Render a view into the Mandelbrot set to $IOG_OUTPUT/mandelbrot.png. Standard library only.

WIDTH, HEIGHT and ITERATIONS say how large and how fine. Prints the rows done, about once a second. On several machines each
renders its share of the rows, to mandelbrot-0.png, mandelbrot-1.png, … from top to bottom.
"""

import math
import os
import struct
import time
import zlib
from pathlib import Path

WIDTH = int(os.environ.get("WIDTH", "960"))
HEIGHT = int(os.environ.get("HEIGHT", "640"))
ITERATIONS = int(os.environ.get("ITERATIONS", "160"))
MEMBER, MEMBERS = int(os.environ.get("IOG_MEMBER", "0")), int(os.environ.get("IOG_MEMBERS", "1"))
CENTRE, SPAN = complex(-0.7436, 0.1318), 0.0085

# Deep ink to warm paper and back, in as many shades as there are iterations.
SHADES = [
    tuple(int(255 * (0.5 - 0.5 * math.cos(2 * math.pi * (0.08 + 0.9 * math.sqrt(n / ITERATIONS)) + shift))) for shift in (0.0, 0.35, 0.75))
    for n in range(ITERATIONS)
] + [(8, 12, 14)]


def escape(c):
    z = 0j
    for n in range(ITERATIONS):
        z = z * z + c
        if z.real * z.real + z.imag * z.imag > 4:
            return n
    return ITERATIONS


def row(y):
    step = SPAN / WIDTH
    imaginary = CENTRE.imag + (HEIGHT / 2 - y) * step
    left = CENTRE.real - WIDTH / 2 * step
    return bytes(part for x in range(WIDTH) for part in SHADES[escape(complex(left + x * step, imaginary))])


def png(rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line for line in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def main():
    output = Path(os.environ.get("IOG_OUTPUT", "output"))
    output.mkdir(parents=True, exist_ok=True)
    first, last = HEIGHT * MEMBER // MEMBERS, HEIGHT * (MEMBER + 1) // MEMBERS
    rows, printed = [], time.monotonic()
    for y in range(first, last):
        rows.append(row(y))
        if time.monotonic() - printed >= 1 or y == last - 1:
            printed = time.monotonic()
            print(f"rows={len(rows)} percent={100 * len(rows) / (last - first):.1f}", flush=True)
    name = "mandelbrot.png" if MEMBERS == 1 else f"mandelbrot-{MEMBER}.png"
    fresh = output / f"{name}.new"
    fresh.write_bytes(png(rows))
    fresh.rename(output / name)
    print(f"done: {name}, {WIDTH} x {len(rows)}", flush=True)


if __name__ == "__main__":
    main()
