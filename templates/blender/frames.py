"""Render a part of a Blender animation: of N members, member k renders the frames FIRST + k, FIRST + k + N, …

Runs inside Blender (blender -b -P frames.py) or with Blender as a Python module (pip install bpy). A frame appears in
$IOG_OUTPUT/frames by being renamed there; $IOG_CHECKPOINT/done.json says which are done, so that a member that takes the
place of a lost one renders only the others.
"""

import json
import math
import os
import time
from pathlib import Path

import bpy

SCENE = Path(os.environ.get("SCENE", "scene.blend"))
FIRST, FRAMES = int(os.environ.get("FIRST", "1")), int(os.environ.get("FRAMES", "24"))
WIDTH, HEIGHT = int(os.environ.get("WIDTH", "320")), int(os.environ.get("HEIGHT", "180"))
SAMPLES = int(os.environ.get("SAMPLES", "16"))
# A frame that is checked is asked for alone.
SLICE = os.environ.get("SLICE")
MEMBER, MEMBERS = int(os.environ.get("IOG_MEMBER", "0")), int(os.environ.get("IOG_MEMBERS", "1"))
OUTPUT = Path(os.environ.get("IOG_OUTPUT", "output")) / "frames"
DONE = Path(os.environ.get("IOG_CHECKPOINT", "output/checkpoint")) / "done.json"


def material(name, colour, metal, rough):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1)
    shader.inputs["Metallic"].default_value = metal
    shader.inputs["Roughness"].default_value = rough
    return made


def own_scene():
    """Where no scene was given: a turning torus knot of balls over a floor."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.55, 0.68, 0.80, 1)
    bpy.ops.mesh.primitive_plane_add(size=40)
    bpy.context.object.data.materials.append(material("floor", (0.55, 0.56, 0.54), 0, 0.5))
    shades = [material("a", (0.02, 0.30, 0.38), 0.6, 0.25), material("b", (0.85, 0.45, 0.10), 0.1, 0.4)]
    middle = bpy.data.objects.new("middle", None)
    scene.collection.objects.link(middle)
    for n in range(24):
        turn = 2 * math.pi * n / 24
        far = 1.4 + 0.5 * math.cos(3 * turn)
        place = (far * math.cos(2 * turn), far * math.sin(2 * turn), 1.2 + 0.6 * math.sin(3 * turn))
        bpy.ops.mesh.primitive_uv_sphere_add(radius=0.24, location=place, segments=32, ring_count=16)
        ball = bpy.context.object
        bpy.ops.object.shade_smooth()
        ball.data.materials.append(shades[n % 2])
        ball.parent = middle
    for frame, turn in ((FIRST, 0), (FIRST + FRAMES, 2 * math.pi)):
        middle.rotation_euler = (0, 0, turn)
        middle.keyframe_insert("rotation_euler", frame=frame)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.data.angle, sun.rotation_euler = 3.0, 0.05, (0.7, 0.3, 0.8)
    scene.collection.objects.link(sun)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.rotation_euler = (0, -6.5, 3.4), (math.radians(70), 0, 0)
    scene.collection.objects.link(camera)
    scene.camera = camera


def use_cards():
    """All cards that Cycles finds, by the best way it knows."""
    wishes = bpy.context.preferences.addons["cycles"].preferences
    for way in ("OPTIX", "CUDA", "HIP"):
        try:
            wishes.compute_device_type = way
        except TypeError:
            continue
        wishes.get_devices()
        cards = [device for device in wishes.devices if device.type == way]
        if cards:
            for device in wishes.devices:
                device.use = device.type == way
            print(f"{len(cards)} card(s) by {way}: {', '.join(card.name for card in cards)}", flush=True)
            return "GPU"
    raise SystemExit("Cycles finds no card here; launch it on CPUs instead.")


def remember(done):
    fresh = DONE.with_suffix(".new")
    fresh.write_text(json.dumps(sorted(done)))
    fresh.rename(DONE)


def main():
    if SCENE.is_file():
        bpy.ops.wm.open_mainfile(filepath=str(SCENE.resolve()))
    else:
        print(f"there is no {SCENE}: the template's own scene is rendered", flush=True)
        own_scene()
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = SAMPLES
    scene.cycles.device = use_cards() if os.environ.get("DEVICE") == "GPU" else "CPU"
    scene.render.threads_mode, scene.render.threads = "FIXED", max(1, int(os.environ.get("IOG_CPUS", "1")))
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = WIDTH, HEIGHT, 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode, scene.render.image_settings.color_depth = "RGB", "8"
    scene.render.use_file_extension = False
    OUTPUT.mkdir(parents=True, exist_ok=True)
    DONE.parent.mkdir(parents=True, exist_ok=True)
    own = [int(SLICE)] if SLICE else range(FIRST + MEMBER, FIRST + FRAMES, MEMBERS)
    done = set(json.loads(DONE.read_text())) if DONE.exists() else set()
    if done:
        print(f"{len(done)} of {len(own)} frames are done already", flush=True)
    for frame in (frame for frame in own if frame not in done):
        begun = time.monotonic()
        fresh = OUTPUT.resolve() / f".{frame:05}.png"
        scene.frame_set(frame)
        scene.render.filepath = str(fresh)
        bpy.ops.render.render(write_still=True)
        fresh.rename(fresh.with_name(f"{frame:05}.png"))
        done.add(frame)
        remember(done)
        took = time.monotonic() - begun
        print(f"frame {frame}: frames={len(done)} percent={100 * len(done) / len(own):.1f} seconds_per_frame={took:.2f}", flush=True)
    print(f"done: {len(own)} of {FRAMES} frames are this member's", flush=True)


if __name__ == "__main__":
    main()
