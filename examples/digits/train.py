"""Train a classifier of handwritten digits: a small neural network, its gradients written out by hand in numpy.

Prints a line each second (`step=… epoch=… loss=… accuracy=…`), which the portal draws as curves. Saves a checkpoint
every few seconds, so that a run that is interrupted goes on from there: give the file in IOG_CHECKPOINT, or leave it in
IOG_OUTPUT. Ends with report.json: accuracy, and which digit was taken for which.

    DIGITS_SECONDS=30 python3 train.py        seconds of training; an argument does the same
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

BATCH = 64
LAYERS = (64, 192, 96, 10)
RATE, MOMENTUM, DECAY = 0.001, 0.9, 1e-4
CHECKPOINT_EVERY_SECONDS = 5.0
GOAL = 0.95


def load():
    """Images as numbers from 0 to 1; every fifth one is kept aside and never trained on."""
    digits = load_digits()
    images = (digits.data / 16.0).astype(np.float32)
    aside = np.arange(len(images)) % 5 == 0
    return images[~aside], digits.target[~aside], images[aside], digits.target[aside]


def start(random):
    shapes = list(zip(LAYERS[:-1], LAYERS[1:]))
    weights = [(random.standard_normal(shape) * np.sqrt(2 / shape[0])).astype(np.float32) for shape in shapes]
    biases = [np.zeros(shape[1], np.float32) for shape in shapes]
    return weights + biases


def forward(model, x):
    """The value of each layer; the last one are probabilities."""
    depth = len(LAYERS) - 1
    values = [x]
    for weight, bias in zip(model[:depth], model[depth:]):
        values.append(np.maximum(values[-1] @ weight + bias, 0))
    logits = values[-2] @ model[depth - 1] + model[-1]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    values[-1] = powers / powers.sum(axis=1, keepdims=True)
    return values


def gradients(model, x, wanted):
    depth = len(LAYERS) - 1
    values = forward(model, x)
    rows = np.arange(len(x))
    loss = -np.log(values[-1][rows, wanted] + 1e-9).mean()
    error = values[-1].copy()
    error[rows, wanted] -= 1
    error /= len(x)
    slopes = [None] * (2 * depth)
    for layer in reversed(range(depth)):
        slopes[layer] = values[layer].T @ error + DECAY * model[layer]
        slopes[depth + layer] = error.sum(axis=0)
        if layer:
            error = (error @ model[layer].T) * (values[layer] > 0)
    return loss, slopes


def vary(random, x):
    """Each image moved by up to one pixel, with some noise: the network sees new ones in every epoch."""
    frame = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    # Mostly not at all: an 8 × 8 image loses a good part of itself with each pixel.
    down, right = random.choice([0, 1, 1, 1, 2], size=2)
    moved = frame[:, down : down + 8, right : right + 8].reshape(len(x), 64)
    return moved + random.normal(0, 0.15, moved.shape).astype(np.float32)


def accuracy(model, x, wanted):
    return float((forward(model, x)[-1].argmax(axis=1) == wanted).mean())


def save(path, model, speed, step, seconds):
    """Whole or not at all: a crash in the middle leaves the checkpoint before it."""
    fresh = path.with_suffix(".new")
    arrays = {f"model{i}": part for i, part in enumerate(model)} | {f"speed{i}": part for i, part in enumerate(speed)}
    with open(fresh, "wb") as file:
        np.savez(file, step=step, seconds=seconds, **arrays)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def restore(path):
    with np.load(path) as saved:
        parts = 2 * (len(LAYERS) - 1)
        model = [saved[f"model{i}"] for i in range(parts)]
        speed = [saved[f"speed{i}"] for i in range(parts)]
        return model, speed, int(saved["step"]), float(saved["seconds"])


def main():
    budget = float(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DIGITS_SECONDS", "30"))
    output = Path(os.environ.get("IOG_OUTPUT", "output"))
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "checkpoint.npz"
    x, wanted, unseen_x, unseen = load()
    steps_per_epoch = len(x) // BATCH

    step, before = 0, 0.0
    model = start(np.random.default_rng(2026))
    speed = [np.zeros_like(part) for part in model]
    earlier = Path(os.environ.get("IOG_CHECKPOINT") or checkpoint)
    if earlier.is_file():
        model, speed, step, before = restore(earlier)
        print(f"resumed from step {step}, after {before:.0f} s", flush=True)
    print(f"{len(x)} images to learn from, {len(unseen)} kept aside, {sum(part.size for part in model)} weights", flush=True)

    random = np.random.default_rng(2026 + step)
    begun = printed = saved = time.monotonic()
    losses = []
    while (seconds := before + time.monotonic() - begun) < budget:
        # The rate falls to nearly nothing towards the end, as a cosine does.
        rate = RATE * (0.02 + 0.98 * (1 + np.cos(np.pi * seconds / budget)) / 2)
        pick = random.integers(0, len(x), BATCH)
        loss, slopes = gradients(model, vary(random, x[pick]), wanted[pick])
        for part, pace, slope in zip(model, speed, slopes):
            pace *= MOMENTUM
            pace -= rate * slope
            part += pace
        step += 1
        losses.append(loss)
        now = time.monotonic()
        if now - printed >= 1:
            printed = now
            right = accuracy(model, unseen_x, unseen)
            print(f"step={step} epoch={step / steps_per_epoch:.1f} loss={np.mean(losses):.4f} accuracy={right:.4f}", flush=True)
            losses.clear()
        if now - saved >= CHECKPOINT_EVERY_SECONDS:
            saved = now
            save(checkpoint, model, speed, step, before + now - begun)

    save(checkpoint, model, speed, step, budget)
    taken_for = forward(model, unseen_x)[-1].argmax(axis=1)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (unseen, taken_for), 1)
    right = float((taken_for == unseen).mean())
    report = {
        "accuracy": round(right, 4),
        "images_unseen": len(unseen),
        "steps": step,
        "seconds": round(budget, 1),
        "confusion_rows_true_columns_read": confusion.tolist(),
    }
    (output / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"step={step} epoch={step / steps_per_epoch:.1f} accuracy={right:.4f}", flush=True)
    print(f"done: {right:.1%} of {len(unseen)} unseen images read rightly; report.json and checkpoint.npz are kept", flush=True)
    if right < GOAL:
        print(f"that is below {GOAL:.0%}: train for longer (DIGITS_SECONDS)", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
