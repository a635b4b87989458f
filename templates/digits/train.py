"""Train a network with one hidden layer to read handwritten digits; its gradients are written out in numpy.

Prints `step=… epoch=… loss=… accuracy=…` about each second. The weights lie in $IOG_CHECKPOINT, written whole or not at
all; where they are found the training goes on from them. Ends with $IOG_OUTPUT/report.json.
"""

import json
import os
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

SECONDS = float(os.environ.get("SECONDS_OF_TRAINING", "30"))
HIDDEN = int(os.environ.get("HIDDEN", "128"))
RATE = float(os.environ.get("LEARNING_RATE", "0.05"))
EVERY = float(os.environ.get("CHECKPOINT_EVERY", "5"))
OUTPUT = Path(os.environ.get("IOG_OUTPUT", "output"))
KEPT = Path(os.environ.get("IOG_CHECKPOINT", "output/checkpoint")) / "weights.npz"
BATCH = 32


def forward(weights, x):
    first, bias, second, shift = weights
    hidden = np.maximum(x @ first + bias, 0)
    scores = hidden @ second + shift
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, powers / powers.sum(axis=1, keepdims=True)


def learn(weights, x, wanted, rate):
    hidden, chances = forward(weights, x)
    rows = np.arange(len(x))
    loss = -np.log(chances[rows, wanted] + 1e-9).mean()
    error = chances
    error[rows, wanted] -= 1
    error /= len(x)
    back = (error @ weights[2].T) * (hidden > 0)
    slopes = [x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
    for weight, slope in zip(weights, slopes):
        weight -= rate * slope
    return loss


def keep(weights, step, seconds):
    fresh = KEPT.with_suffix(".new")
    with open(fresh, "wb") as file:
        np.savez(file, *weights, step=step, seconds=seconds)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(KEPT)


def begin():
    if KEPT.is_file():
        with np.load(KEPT) as kept:
            weights = [kept[f"arr_{i}"] for i in range(4)]
            step, seconds = int(kept["step"]), float(kept["seconds"])
        print(f"resumed from step {step}, after {seconds:.1f} s", flush=True)
        return weights, step, seconds
    random = np.random.default_rng(2026)
    first = random.normal(0, np.sqrt(2 / 64), (64, HIDDEN))
    second = random.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, 10))
    return [first, np.zeros(HIDDEN), second, np.zeros(10)], 0, 0.0


def main():
    OUTPUT.mkdir(parents=True, exist_ok=True)
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    aside = np.arange(len(digits.data)) % 5 == 0
    x, wanted = digits.data[~aside] / 16, digits.target[~aside]
    unseen, truth = digits.data[aside] / 16, digits.target[aside]
    weights, step, before = begin()
    random = np.random.default_rng(2026 + step)
    began = printed = kept = time.monotonic()
    losses = []
    while (spent := before + time.monotonic() - began) < SECONDS:
        pick = random.integers(0, len(x), BATCH)
        noisy = x[pick] + random.normal(0, 0.1, (BATCH, 64))
        losses.append(learn(weights, noisy, wanted[pick], RATE))
        step += 1
        now = time.monotonic()
        if now - printed >= 1:
            printed = now
            right = (forward(weights, unseen)[1].argmax(axis=1) == truth).mean()
            epoch = step * BATCH / len(x)
            print(f"step={step} epoch={epoch:.1f} loss={np.mean(losses):.4f} accuracy={right:.4f}", flush=True)
            losses.clear()
        if now - kept >= EVERY:
            kept = now
            keep(weights, step, spent)
    keep(weights, step, SECONDS)
    read = forward(weights, unseen)[1].argmax(axis=1)
    taken = np.zeros((10, 10), int)
    np.add.at(taken, (truth, read), 1)
    right = float((read == truth).mean())
    report = {"accuracy": round(right, 4), "steps": step, "true_rows_read_columns": taken.tolist()}
    (OUTPUT / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"step={step} accuracy={right:.4f}", flush=True)
    print(f"done: {right:.1%} of {len(truth)} unseen images read rightly", flush=True)


if __name__ == "__main__":
    main()
