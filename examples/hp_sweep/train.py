"""Trains a small network on scikit-learn's handwritten digits: one experiment, one learning rate.

It knows nothing of podmap: arguments in, one JSON file out.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--exp-id", required=True)
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--output", default="results.json")
args = parser.parse_args()

seed = int(os.environ.get("PODMAP_SEED", "0"))
digits = load_digits()
train_x, test_x, train_y, test_y = train_test_split(
    digits.data / 16, digits.target, test_size=0.25, random_state=0, stratify=digits.target
)
model = MLPClassifier(hidden_layer_sizes=(32,), learning_rate_init=args.lr, random_state=seed)
began = time.monotonic()
tracked = "tracked" if os.environ.get("TRACKING_TOKEN") else "not tracked"
print(f"experiment {args.exp_id}: lr={args.lr}, {len(train_x)} images, {tracked}", flush=True)
for epoch in range(1, args.epochs + 1):
    model.partial_fit(train_x, train_y, classes=np.arange(10))
    accuracy = model.score(test_x, test_y)
    if epoch % 5 == 0 or epoch == args.epochs:
        print(f"epoch {epoch}: loss {model.loss_:.4f}, accuracy {accuracy:.4f}", flush=True)

results = {
    "accuracy": round(float(accuracy), 5),
    "loss": round(float(model.loss_), 5),
    "train_s": round(time.monotonic() - began, 3),
}
with open(args.output, "w", encoding="utf-8") as file:
    json.dump(results, file)
