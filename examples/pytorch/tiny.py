"""A network to try export.py with: it has seen nothing, and tells four classes apart by chance."""

from __future__ import annotations

import torch


class Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(3, 12, 3, stride=2, padding=1, bias=False),
            torch.nn.BatchNorm2d(12),
            torch.nn.ReLU(),
            torch.nn.Conv2d(12, 24, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )
        self.classes = torch.nn.Linear(24, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.classes(self.features(image)), dim=1)
