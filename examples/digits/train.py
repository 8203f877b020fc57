"""Trains one model on scikit-learn's handwritten digits and writes its accuracy.

It knows nothing of podmap. By hand: python train.py --model svm --C 10 --gamma 0.1
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

HELD_OUT = 600  # of 1,797 images: the same ones for every trial, so that trials compare


def main() -> None:
    args = parse_args()
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, digits = images[order] / 16.0, digits[order]
    train = images[HELD_OUT:], digits[HELD_OUT:]
    test = images[:HELD_OUT], digits[:HELD_OUT]

    accuracy = 0.0
    for step, model in enumerate(training(args, *train)):
        accuracy = round(float(model.score(*test)), 5)
        # podmap understands lines like this: metrics at a step.
        print("podmap:", json.dumps({"step": step, "accuracy": accuracy}), flush=True)

    result = {"accuracy": accuracy, "train_accuracy": round(float(model.score(*train)), 5)}
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            json.dump(result, file)
    print(f"{args.model}: {accuracy:.1%} of {HELD_OUT} unseen digits are read right")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["svm", "mlp", "forest"], default="svm")
    parser.add_argument("--C", type=float, default=1.0, help="svm: the cost of an error")
    parser.add_argument("--gamma", type=float, default=0.1, help="svm: how near counts as near")
    parser.add_argument("--lr", type=float, default=0.01, help="mlp: the learning rate")
    parser.add_argument("--hidden", type=int, default=32, help="mlp: units of the hidden layer")
    parser.add_argument("--epochs", type=int, default=15, help="mlp: passes over the data")
    parser.add_argument("--trees", type=int, default=50, help="forest: how many trees")
    parser.add_argument("--depth", type=int, default=8, help="forest: how deep they may be")
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("PODMAP_SEED", "0")), help="of the model"
    )
    parser.add_argument("--output", help="where the result goes, as JSON")
    return parser.parse_args()


def training(args: argparse.Namespace, images: np.ndarray, digits: np.ndarray) -> Iterator[Any]:
    """The model after each step of its training; only mlp has more than one.

    Each branch imports what it alone needs: here that takes longer than the training.
    """
    if args.model == "svm":
        from sklearn.svm import SVC

        yield SVC(C=args.C, gamma=args.gamma).fit(images, digits)
    elif args.model == "forest":
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(args.trees, max_depth=args.depth, random_state=args.seed)
        yield forest.fit(images, digits)
    else:
        from sklearn.neural_network import MLPClassifier

        mlp = MLPClassifier((args.hidden,), learning_rate_init=args.lr, random_state=args.seed)
        for _ in range(args.epochs):
            yield mlp.partial_fit(images, digits, classes=np.arange(10))


if __name__ == "__main__":
    main()
