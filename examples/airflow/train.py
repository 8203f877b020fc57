"""A stand-in for training, with the standard library: accuracy depends on model and rate."""

import argparse
import json
import math
import os

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="svm")
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--day", default="2024-01-01")
given = parser.parse_args()

best = {"svm": -2.0, "forest": -1.0, "mlp": -3.0}.get(given.model, -2.0)
most = {"svm": 0.95, "forest": 0.97, "mlp": 0.99}.get(given.model, 0.95)
accuracy = most * math.exp(-((math.log10(given.lr) - best) ** 2) / 8)
print(f"{given.model} with lr {given.lr} on {given.day}: accuracy {accuracy:.3f}", flush=True)
with open(os.environ["PODMAP_RESULT"], "w") as result:
    json.dump({"accuracy": accuracy}, result)
