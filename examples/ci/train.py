"""Fits a line by gradient descent, and goes on from its checkpoint where it was interrupted.

It knows of podmap only what its environment says. By hand: python train.py --lr 0.1 --batch 8
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path

SLOPE, OFFSET = 2.0, -1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()

    state = load()
    print(f"starts at epoch {state['epoch']}", flush=True)
    for epoch in range(state["epoch"], args.epochs):
        generator = random.Random(f"{os.environ.get('PODMAP_SEED', 0)}/{epoch}")
        points = [generator.uniform(-1, 1) for _ in range(args.batch)]
        loss = step(state, points, args.lr)
        save({**state, "epoch": epoch + 1, "loss": loss})
        state["loss"] = loss
        print("podmap:", json.dumps({"step": epoch, "loss": loss}), flush=True)
    with open(os.environ.get("PODMAP_RESULT", "result.json"), "w", encoding="utf-8") as file:
        json.dump({"loss": state["loss"], "slope": state["slope"]}, file)


def step(state: dict[str, float], points: list[float], lr: float) -> float:
    """One step of gradient descent on a batch; the batch's loss before it."""
    errors = [state["slope"] * x + state["offset"] - (SLOPE * x + OFFSET) for x in points]
    state["slope"] -= lr * sum(e * x for e, x in zip(errors, points, strict=True)) / len(points)
    state["offset"] -= lr * sum(errors) / len(points)
    return sum(e * e for e in errors) / len(points)


def load() -> dict[str, float]:
    """The state after the last whole epoch; that of the beginning if there is none."""
    path = os.environ.get("PODMAP_CHECKPOINT")
    if path and Path(path).exists():
        return json.loads(Path(path).read_text())
    return {"epoch": 0, "slope": 0.0, "offset": 0.0, "loss": 0.0}


def save(state: dict[str, float]) -> None:
    path = os.environ.get("PODMAP_CHECKPOINT")
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        part = Path(f"{path}.part")  # so that a kill at any moment leaves a whole checkpoint
        part.write_text(json.dumps(state))
        part.replace(path)


if __name__ == "__main__":
    main()
