"""The objectives and the optimisers' steps once more, in float64 NumPy, their gradients by hand.

Imports nothing from the product: what both say, two derivations say.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Found = tuple[float, Array]
"""A loss and its gradient by the outputs."""


def unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def log_softmax(rows: Array) -> Array:
    shifted = rows - rows.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def softmax(rows: Array) -> Array:
    return np.exp(log_softmax(rows))


def through_length(outputs: Array, slope: Array) -> Array:
    """The gradient by z of a function of ẑ = z/|z| whose gradient by ẑ is `slope`."""
    direction, length = unit(outputs), np.linalg.norm(outputs, axis=1, keepdims=True)
    along = (slope * direction).sum(axis=1, keepdims=True)
    return np.asarray((slope - along * direction) / length)


def cosine(outputs: Array, aims: Array) -> Found:
    """−mean ⟨ẑ, u⟩ and its gradient; u need not be unit."""
    loss = -float((unit(outputs) * aims).sum(axis=1).mean())
    return loss, through_length(outputs, -aims / len(outputs))


def adip(outputs: Array, texts: Array, images: Array, image_weight: float) -> Found:
    """−λ·mean cos(z, I) − (1−λ)·mean cos(z, T_y), term by term."""
    by_image, by_text = cosine(outputs, images), cosine(outputs, texts)
    share = (image_weight, 1 - image_weight)
    return (
        share[0] * by_image[0] + share[1] * by_text[0],
        share[0] * by_image[1] + share[1] * by_text[1],
    )


def cross_entropy(logits: Array, labels: NDArray[np.int64]) -> Found:
    rows = np.arange(len(labels))
    hot = np.zeros_like(logits)
    hot[rows, labels] = 1
    loss = -float(log_softmax(logits)[rows, labels].mean())
    return loss, (softmax(logits) - hot) / len(labels)


def divergence(logits: Array, teacher: Array, temperature: float) -> Found:
    """τ²·KL(softmax(t/τ) ‖ softmax(f/τ)), averaged over the batch."""
    ours, theirs = log_softmax(logits / temperature), log_softmax(teacher / temperature)
    loss = temperature**2 * float((np.exp(theirs) * (theirs - ours)).sum(axis=1).mean())
    return loss, temperature * (np.exp(ours) - np.exp(theirs)) / len(logits)


def kd(
    logits: Array, labels: NDArray[np.int64], teacher: Array, temperature: float, weight: float
) -> Found:
    hard, soft = cross_entropy(logits, labels), divergence(logits, teacher, temperature)
    return hard[0] + weight * soft[0], hard[1] + weight * soft[1]


def kd_text(
    outputs: Array,
    texts: Array,
    scale: float,
    labels: NDArray[np.int64],
    teacher: Array,
    temperature: float,
    weight: float,
) -> Found:
    """kd on logits scale·⟨ẑ, T_k⟩."""
    loss, slope = kd(scale * unit(outputs) @ texts.T, labels, teacher, temperature, weight)
    return loss, through_length(outputs, scale * slope @ texts)


def text_entropy(outputs: Array, texts: Array, scale: float, labels: NDArray[np.int64]) -> Found:
    """Cross-entropy on the same logits (wise-ft)."""
    loss, slope = cross_entropy(scale * unit(outputs) @ texts.T, labels)
    return loss, through_length(outputs, scale * slope @ texts)


def feature(outputs: Array, images: Array) -> Found:
    """mean ‖z − I‖²."""
    gap = outputs - images
    return float((gap**2).sum(axis=1).mean()), 2 * gap / len(outputs)


def contrastive(outputs: Array, texts: Array, labels: NDArray[np.int64], scale: float) -> Found:
    """½(CE by rows + CE by columns) of scale·⟨ẑ_i, T_{y_j}⟩, each class's members right alike."""
    n, mine = len(labels), texts[labels]
    logits = scale * unit(outputs) @ mine.T
    right = np.array([[float(a == b) for b in labels] for a in labels])
    right /= right.sum(axis=1, keepdims=True)
    rows = -float((right * log_softmax(logits)).sum()) / n
    columns = -float((right * log_softmax(logits.T)).sum()) / n
    slope = (softmax(logits) - right + (softmax(logits.T) - right).T) / (2 * n)
    return (rows + columns) / 2, through_length(outputs, scale * slope @ mine)


def linear(features: Array, weight: Array, bias: Array) -> Array:
    """A student small enough to write down."""
    return features @ weight.T + bias


def linear_slopes(features: Array, slope: Array) -> list[Array]:
    """The gradients by weight and bias."""
    return [slope.T @ features, slope.sum(axis=0)]


@dataclass
class Adam:
    """Kingma & Ba 2015, bias corrected; with `decay`, AdamW: weights shrink apart from the gradient."""

    lr: float
    decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    _first: Array | float = 0.0
    _second: Array | float = 0.0
    _steps: int = 0

    def step(self, value: Array, slope: Array) -> Array:
        self._steps += 1
        one, two = self.betas
        self._first = one * self._first + (1 - one) * slope
        self._second = two * self._second + (1 - two) * slope**2
        first = self._first / (1 - one**self._steps)
        second = self._second / (1 - two**self._steps)
        return value * (1 - self.lr * self.decay) - self.lr * first / (
            np.sqrt(second) + self.epsilon
        )


@dataclass
class Momentum:
    """SGD: v ← μv + g + decay·w; w ← w − lr·v."""

    lr: float
    momentum: float = 0.9
    decay: float = 0.0
    _velocity: Array | float = field(default=0.0)

    def step(self, value: Array, slope: Array) -> Array:
        self._velocity = self.momentum * self._velocity + slope + self.decay * value
        return value - self.lr * self._velocity
