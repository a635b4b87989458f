"""Train a small convolutional network to tell four shapes apart; the images are drawn as they are needed.

One process on each node, or one for each card of each node, which average their gradients (DistributedDataParallel). Prints
`epoch=… loss=… accuracy=… images_per_second=…`. Each epoch is kept in $IOG_CHECKPOINT of the first node, whole or not at all; where a
checkpoint is found the training goes on from it. When one process is lost the others end, and all begin again from there. Ends
with model.pt and report.json in $IOG_OUTPUT.
"""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

EPOCHS = int(os.environ.get("EPOCHS", "8"))
IMAGES = int(os.environ.get("IMAGES", "4096"))
CHANNELS = int(os.environ.get("CHANNELS", "16"))
RATE = float(os.environ.get("LEARNING_RATE", "0.002"))
OUTPUT = Path(os.environ.get("IOG_OUTPUT", "output"))
KEPT = Path(os.environ.get("IOG_CHECKPOINT", "output/checkpoint")) / "training.pt"
MEMBER, MEMBERS, CARDS = (int(os.environ.get(name, other)) for name, other in (("IOG_MEMBER", "0"), ("IOG_MEMBERS", "1"), ("CARDS", "1")))
PORT, TRIES, TOGETHER = 29400, 20, timedelta(minutes=20)
RANK, WORLD = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
BATCH, SIDE, SHAPES = 64, 24, ("disc", "square", "ring", "cross")


def draw(count, dice):
    """Shapes of any size at any place, with noise: (images, which shape)."""
    kind = torch.randint(len(SHAPES), (count,), generator=dice)
    place = (torch.rand(count, 2, generator=dice) - 0.5) * 0.8
    size = 0.35 + 0.3 * torch.rand(count, generator=dice)
    line = torch.linspace(-1, 1, SIDE)
    down, across = torch.meshgrid(line, line, indexing="ij")
    y, x = down - place[:, 0, None, None], across - place[:, 1, None, None]
    size = size[:, None, None]
    far, most, least = (x**2 + y**2).sqrt(), torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    drawn = torch.stack([far < size, most < size * 0.9, (far < size) & (far > size * 0.6), (most < size) & (least < size * 0.3)])
    images = drawn[kind, torch.arange(count)].float()
    noise = torch.randn(count, SIDE, SIDE, generator=dice) * 0.6
    return (images + noise).unsqueeze(1), kind


def network():
    def block(inner, outer):
        return nn.Sequential(nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer), nn.ReLU(), nn.MaxPool2d(2))

    body = nn.Sequential(block(1, CHANNELS), block(CHANNELS, 2 * CHANNELS), block(2 * CHANNELS, 2 * CHANNELS))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * CHANNELS, len(SHAPES)))


def keep(model, optimiser, epoch):
    fresh = KEPT.with_suffix(".new")
    with open(fresh, "wb") as file:
        torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(KEPT)


def accuracy(model, device):
    images, kind = draw(1024, torch.Generator().manual_seed(7))
    model.eval()
    with torch.no_grad():
        right = (model(images.to(device)).argmax(1).cpu() == kind).float().mean()
    model.train()
    return float(right)


def supervise():
    """Starts this node's processes, and again when they end because another node was lost."""
    head = os.environ.get("IOG_ADDRESSES", "127.0.0.1").split(",")[0]
    env = os.environ | {"MASTER_ADDR": head, "MASTER_PORT": str(PORT)}
    if MEMBERS > 1:
        env |= {"GLOO_SOCKET_IFNAME": "mesh0", "NCCL_SOCKET_IFNAME": "mesh0", "NCCL_IB_DISABLE": "1"}
    own = [sys.executable, __file__]
    if torch.cuda.is_available():
        own = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={MEMBERS}", f"--node_rank={MEMBER}", f"--nproc_per_node={CARDS}",
               f"--master_addr={head}", f"--master_port={PORT}", __file__]
    else:
        env |= {"RANK": str(MEMBER), "WORLD_SIZE": str(MEMBERS)}
    for _ in range(TRIES):
        code = subprocess.run(own, env=env).returncode
        if code == 0:
            return
        print(f"the processes of node {MEMBER} ended ({code}); beginning again from the checkpoint", flush=True)
        time.sleep(2)
    raise SystemExit(f"it did not work {TRIES} times")


def restore(device):
    """The first process alone has the checkpoint; the others are told."""
    kept = [torch.load(KEPT, map_location="cpu") if RANK == 0 and KEPT.is_file() else None]
    if WORLD > 1:
        torch.distributed.broadcast_object_list(kept, 0, device=device)
    return kept[0]


def main():
    if "RANK" not in os.environ and MEMBERS * CARDS > 1:
        return supervise()
    cards = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cards else torch.device("cpu")
    if WORLD > 1:
        if cards:
            torch.cuda.set_device(device)
        torch.distributed.init_process_group("nccl" if cards else "gloo", timeout=TOGETHER)
    if not cards:
        torch.set_num_threads(max(1, int(os.environ.get("IOG_CPUS", "1"))))
    for folder in (OUTPUT, KEPT.parent):
        folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(2026)
    model = network().to(device)
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    first = 1
    if kept := restore(device):
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        first = kept["epoch"] + 1
        if RANK == 0:
            print(f"resumed after epoch {kept['epoch']}", flush=True)
    learner = nn.parallel.DistributedDataParallel(model, device_ids=[device.index] if cards else None) if WORLD > 1 else model
    if RANK == 0:
        where = torch.cuda.get_device_name(device) if cards else "the CPU"
        print(f"{sum(p.numel() for p in model.parameters())} weights on {where}, {WORLD} process(es) on {MEMBERS} node(s)", flush=True)
    for epoch in range(first, EPOCHS + 1):
        begun, losses, seen = time.monotonic(), 0.0, 0
        dice = torch.Generator().manual_seed(epoch * 1000 + RANK)
        for _ in range(max(1, IMAGES // (BATCH * WORLD))):
            images, kind = draw(BATCH, dice)
            loss = functional.cross_entropy(learner(images.to(device)), kind.to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses, seen = losses + loss.item(), seen + 1
        if RANK == 0:
            keep(model, optimiser, epoch)
            right, pace = accuracy(model, device), seen * BATCH * WORLD / (time.monotonic() - begun)
            print(f"epoch={epoch} loss={losses / seen:.4f} accuracy={right:.4f} images_per_second={pace:.0f}", flush=True)
    if RANK == 0:
        right = accuracy(model, device)
        torch.save(model.state_dict(), OUTPUT / "model.pt")
        (OUTPUT / "report.json").write_text(json.dumps({"accuracy": round(right, 4), "epochs": EPOCHS, "shapes": SHAPES}) + "\n")
        print(f"done: {right:.1%} of 1024 unseen images told apart", flush=True)
    if WORLD > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
