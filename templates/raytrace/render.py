"""Render a part of an animation: of N members, member k renders the frames k, k + N, k + 2N, …

A frame appears in $IOG_OUTPUT/frames by being renamed there, so whoever sees it sees all of it. $IOG_CHECKPOINT/done.json
says which are done: a member that takes the place of a lost one renders only the others.
"""

import json
import math
import os
import struct
import subprocess
import time
import zlib
from pathlib import Path

ENGINE = os.environ.get("ENGINE", "builtin")
FRAMES = int(os.environ.get("FRAMES", "12"))
WIDTH, HEIGHT = int(os.environ.get("WIDTH", "160")), int(os.environ.get("HEIGHT", "120"))
SAMPLES = int(os.environ.get("SAMPLES", "1"))
# A frame that is checked is asked for alone.
SLICE = os.environ.get("SLICE")
MEMBER, MEMBERS = int(os.environ.get("IOG_MEMBER", "0")), int(os.environ.get("IOG_MEMBERS", "1"))
OUTPUT = Path(os.environ.get("IOG_OUTPUT", "output")) / "frames"
DONE = Path(os.environ.get("IOG_CHECKPOINT", "output/checkpoint")) / "done.json"

LIGHT = (-0.45, 0.78, -0.43)
# Colour and share of the mirror of each ball.
BALLS = [((0.90, 0.32, 0.22), 0.15), ((0.95, 0.75, 0.20), 0.10), ((0.15, 0.60, 0.70), 0.30), ((0.88, 0.90, 0.92), 0.65)]
DEPTH = 3


def balls(moment):
    """Where the balls are: three hop around one that mirrors them."""
    placed = [((0.0, 0.9, 0.0), 0.9, BALLS[3])]
    for n in range(3):
        turn = 2 * math.pi * (moment + n / 3)
        hop = abs(math.sin(2 * math.pi * (2 * moment + n / 3)))
        placed.append(((1.9 * math.cos(turn), 0.45 + 0.8 * hop, 1.9 * math.sin(turn)), 0.45, BALLS[n]))
    return placed


def hit(scene, ox, oy, oz, dx, dy, dz):
    """The nearest ball along the ray: its distance and itself."""
    best, found = 1e9, None
    for ball in scene:
        (cx, cy, cz), radius, _ = ball
        px, py, pz = ox - cx, oy - cy, oz - cz
        half = px * dx + py * dy + pz * dz
        root = half * half - (px * px + py * py + pz * pz - radius * radius)
        if root > 0:
            far = -half - math.sqrt(root)
            if 1e-4 < far < best:
                best, found = far, ball
    return best, found


def colour(scene, ox, oy, oz, dx, dy, dz, depth):
    far, ball = hit(scene, ox, oy, oz, dx, dy, dz)
    ground = -oy / dy if dy < -1e-6 else 1e9
    if ball is None and ground > 60:
        sky = max(0.0, dy) ** 0.6
        return 0.93 - 0.55 * sky, 0.95 - 0.38 * sky, 0.97 - 0.17 * sky
    if ground < far:
        far, mirror = ground, 0.08
        x, z = ox + far * dx, oz + far * dz
        nx, ny, nz = 0.0, 1.0, 0.0
        base = (0.86, 0.86, 0.83) if (math.floor(x) + math.floor(z)) % 2 else (0.28, 0.31, 0.33)
        # Into the haze, where the squares would be smaller than a pixel.
        haze = min(1.0, far / 30)
        base = tuple(part + (0.9 - part) * haze for part in base)
    else:
        (cx, cy, cz), radius, (base, mirror) = ball
        nx, ny, nz = (ox + far * dx - cx) / radius, (oy + far * dy - cy) / radius, (oz + far * dz - cz) / radius
    px, py, pz = ox + far * dx + nx * 1e-3, oy + far * dy + ny * 1e-3, oz + far * dz + nz * 1e-3
    lit = max(0.0, nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2])
    if lit and hit(scene, px, py, pz, *LIGHT)[1] is not None:
        lit = 0.0
    shade = 0.25 + 0.8 * lit
    red, green, blue = (part * shade for part in base)
    along = dx * nx + dy * ny + dz * nz
    rx, ry, rz = dx - 2 * along * nx, dy - 2 * along * ny, dz - 2 * along * nz
    if ball is not None and far != ground and lit:
        spark = max(0.0, rx * LIGHT[0] + ry * LIGHT[1] + rz * LIGHT[2]) ** 40
        red, green, blue = red + 0.6 * spark, green + 0.6 * spark, blue + 0.6 * spark
    if depth and mirror:
        other = colour(scene, px, py, pz, rx, ry, rz, depth - 1)
        red, green, blue = (own + (seen - own) * mirror for own, seen in zip((red, green, blue), other))
    return red, green, blue


def builtin(frame, path):
    moment = frame / FRAMES
    scene = balls(moment)
    turn = 0.5 * math.sin(2 * math.pi * moment)
    ex, ey, ez = 5.2 * math.sin(turn), 2.3, -5.2 * math.cos(turn)
    # Looking at a point a little above the ground.
    fx, fy, fz = -ex, 0.7 - ey, -ez
    length = math.sqrt(fx * fx + fy * fy + fz * fz)
    fx, fy, fz = fx / length, fy / length, fz / length
    flat = math.hypot(fx, fz)
    sx, sz = fz / flat, -fx / flat
    ux, uy, uz = -fy * fx / flat, flat, -fy * fz / flat
    grid = max(1, round(math.sqrt(SAMPLES)))
    rows = []
    for y in range(HEIGHT):
        row = bytearray(b"\0")
        for x in range(WIDTH):
            total = [0.0, 0.0, 0.0]
            for n in range(grid * grid):
                across = (2 * (x + (n % grid + 0.5) / grid) / WIDTH - 1) * 0.62 * WIDTH / HEIGHT
                up = (1 - 2 * (y + (n // grid + 0.5) / grid) / HEIGHT) * 0.62
                dx, dy, dz = fx + across * sx + up * ux, fy + up * uy, fz + across * sz + up * uz
                size = math.sqrt(dx * dx + dy * dy + dz * dz)
                part = colour(scene, ex, ey, ez, dx / size, dy / size, dz / size, DEPTH)
                total = [known + new for known, new in zip(total, part)]
            row += bytes(min(255, max(0, int(255 * (value / grid**2) ** (1 / 1.6)))) for value in total)
        rows.append(bytes(row))
    path.write_bytes(png(rows))


def png(rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows), 9)) + chunk(b"IEND", b"")


def povray(frame, path):
    quality = ["+A0.1", "+AM2", "+R3"] if SAMPLES > 1 else ["-A"]
    command = ["/usr/bin/povray", "+Iscene.pov", f"+O{path}", f"+W{WIDTH}", f"+H{HEIGHT}", "+FN8", "-D", "-GA", "+WT1"]
    done = subprocess.run([*command, *quality, f"+K{frame / FRAMES}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"POV-Ray could not render frame {frame}:\n{done.stdout[-2000:]}")


def remember(done):
    fresh = DONE.with_suffix(".new")
    fresh.write_text(json.dumps(sorted(done)))
    fresh.rename(DONE)


def main():
    if ENGINE == "povray" and not Path("/usr/bin/povray").exists():
        raise SystemExit("This node has no /usr/bin/povray: choose the built-in renderer, or a node that has Debian's povray.")
    render = povray if ENGINE == "povray" else builtin
    OUTPUT.mkdir(parents=True, exist_ok=True)
    DONE.parent.mkdir(parents=True, exist_ok=True)
    own = [int(SLICE)] if SLICE else range(MEMBER, FRAMES, MEMBERS)
    done = set(json.loads(DONE.read_text())) if DONE.exists() else set()
    if done:
        print(f"{len(done)} of {len(own)} frames are done already", flush=True)
    for frame in (frame for frame in own if frame not in done):
        begun = time.monotonic()
        fresh = OUTPUT / f".{frame:04}.png"
        render(frame, fresh)
        fresh.rename(OUTPUT / f"{frame:04}.png")
        done.add(frame)
        remember(done)
        took = time.monotonic() - begun
        print(f"frame {frame}: frames={len(done)} percent={100 * len(done) / len(own):.1f} seconds_per_frame={took:.2f}", flush=True)
    print(f"done: {len(own)} of {FRAMES} frames are this member's", flush=True)


if __name__ == "__main__":
    main()
