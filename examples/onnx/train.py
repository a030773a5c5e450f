"""Train the example's network with PyTorch on scikit-learn's handwritten digits; write the ONNX model and its data.

    uv run --no-project --python 3.11 \
        --index https://download.pytorch.org/whl/cpu --index-strategy unsafe-best-match \
        --with-requirements ../pytorch/requirements.txt --with scikit-learn --with pillow train.py

Two minutes on two cores. The digits come with scikit-learn: nothing is downloaded but packages. Of the 1,797 images
1,400 are trained on, 60 of those serve as calibration data, and the other 397 are never seen in training.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from evaluate import enlarged
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
SIZE = 32
TRAINED_ON = 1400
CALIBRATED_ON = 60
EPOCHS = 30
BATCH = 64


class Digits(torch.nn.Module):
    """Convolutions of stride 2 with ReLU, as all DLPUs run them well; the last layer gives ten probabilities."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        before = 3
        for channels in (12, 24, 48):
            layers += [
                torch.nn.Conv2d(before, channels, 3, stride=2, padding=1, bias=False),
                torch.nn.BatchNorm2d(channels),
                torch.nn.ReLU(),
            ]
            before = channels
        self.features = torch.nn.Sequential(*layers)
        self.pool = torch.nn.AdaptiveAvgPool2d(1)
        self.classes = torch.nn.Linear(before, 10)

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        return self.classes(self.pool(self.features(image)).flatten(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.logits(image), dim=1)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return all digits as uint8 images [1797, 8, 8] and their classes [1797], in a fixed random order."""
    known = load_digits()
    order = np.random.default_rng(0).permutation(len(known.target))
    return np.round(known.images * (255 / 16)).astype(np.uint8)[order], known.target[order].astype(np.uint8)


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Return images [N, 32, 32, 3] as PyTorch has them: [N, 3, 32, 32], 0..1."""
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def write_data(small: np.ndarray, pixels: np.ndarray, classes: np.ndarray) -> None:
    """Write calibration images as PNG, and what training never saw, as it was, as one array file."""
    folder = HERE / "data" / "calibration"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(CALIBRATED_ON):
        image = Image.fromarray(pixels[number, :, :, 0])
        image.save(folder / f"{classes[number]}-{number:03d}.png", optimize=True)
    np.savez_compressed(HERE / "data" / "validation.npz", x=small[TRAINED_ON:], y=classes[TRAINED_ON:])


def main() -> None:
    torch.manual_seed(7)
    torch.use_deterministic_algorithms(mode=True)
    small, classes = digits()
    pixels = enlarged(small)
    random = np.random.default_rng(7)
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    wanted = torch.from_numpy(classes.astype(np.int64))
    for epoch in range(EPOCHS):
        model.train()
        # Moved by up to two pixels each way, so that the network does not learn positions by heart.
        moves = random.integers(-2, 3, size=(TRAINED_ON, 2))
        moved = as_tensor(
            np.stack([np.roll(p, tuple(m), (0, 1)) for p, m in zip(pixels[:TRAINED_ON], moves, strict=True)])
        )
        total = 0.0
        for batch in np.array_split(random.permutation(TRAINED_ON), TRAINED_ON // BATCH + 1):
            loss = torch.nn.functional.cross_entropy(model.logits(moved[batch]), wanted[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss) * len(batch)
        schedule.step()
        print(f"epoch {epoch + 1}: loss {total / TRAINED_ON:.4f}")
    model.eval()
    with torch.no_grad():
        found = model(as_tensor(pixels[TRAINED_ON:])).argmax(dim=1)
    accuracy = float((found == wanted[TRAINED_ON:]).float().mean())
    print(f"top-1 on {len(pixels) - TRAINED_ON} held-out digits: {accuracy:.4f}")
    (HERE / "model").mkdir(exist_ok=True)
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, SIZE, SIZE),),
        HERE / "model" / "digits.onnx",
        opset_version=17,
        input_names=["image"],
        output_names=["probabilities"],
        # The newer exporter begins at opset 18, and cannot always go back.
        dynamo=False,
    )
    (HERE / "model" / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)), encoding="utf-8")
    write_data(small, pixels, classes)


if __name__ == "__main__":
    main()
