"""The objectives of Li et al. in float64 NumPy, written from the equations, slopes worked out by hand.

Imports nothing from client.train. Each function returns (loss, slope), the slope with respect to the
student's raw outputs float64[n, d].
"""

import numpy as np

Floats = np.ndarray


def normalise(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def pull_back(outputs: Floats, slope: Floats) -> Floats:
    """The slope with respect to S of a function whose slope with respect to S/|S| is given."""
    unit, length = normalise(outputs), np.linalg.norm(outputs, axis=1, keepdims=True)
    return np.asarray((slope - unit * (unit * slope).sum(axis=1, keepdims=True)) / length)


def softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def label(outputs: Floats, texts: Floats, labels: Floats, tau: float) -> tuple[float, Floats]:
    n = len(outputs)
    shares = softmax(normalise(outputs) @ texts.T / tau)
    loss = -np.mean([np.log(shares[i, labels[i]]) for i in range(n)])
    wrong = shares - np.eye(len(texts))[labels]
    return loss, pull_back(outputs, wrong @ texts / (tau * n))


def feature(outputs: Floats, images: Floats) -> tuple[float, Floats]:
    unit = normalise(outputs)
    loss = np.mean(((unit - images) ** 2).sum(axis=1))
    return loss, pull_back(outputs, 2 * (unit - images) / len(outputs))


def contrast(outputs: Floats, images: Floats, tau: float) -> tuple[float, Floats]:
    n = len(outputs)
    scores = normalise(outputs) @ images.T / tau
    rows, columns = softmax(scores), softmax(scores.T).T
    loss = -(np.log(np.diag(rows)).mean() + np.log(np.diag(columns)).mean()) / 2
    slope = (rows + columns - 2 * np.eye(n)) / (2 * n)
    return loss, pull_back(outputs, slope @ images / tau)


def proximity(
    outputs: Floats,
    images: Floats,
    texts: Floats,
    labels: Floats,
    tau: float,
    neighbours: int,
    filter_wrong: bool,
) -> tuple[float, Floats]:
    theirs, ours = images @ texts.T / tau, normalise(outputs) @ texts.T / tau
    kept = [i for i in range(len(outputs)) if not filter_wrong or theirs[i].argmax() == labels[i]]
    loss, slope = 0.0, np.zeros_like(outputs)
    for i in kept:
        near = np.argsort(-theirs[i], kind="stable")[:neighbours]
        p, q = softmax(theirs[i][None, near])[0], softmax(ours[i][None, near])[0]
        loss += (p * np.log(p / q)).sum() / len(kept)
        slope[i] = (q - p) @ texts[near] / (tau * len(kept))
    return loss, pull_back(outputs, slope)


def caption(
    outputs: Floats, captions: Floats, labels: Floats, temperature: float
) -> tuple[float, Floats]:
    n = len(outputs)
    scores = normalise(outputs) @ captions.T / temperature
    loss, slope = 0.0, np.zeros_like(outputs)
    for i in range(n):
        rivals = [j for j in range(n) if j == i or labels[j] != labels[i]]
        shares = softmax(scores[i][None, rivals])[0]
        own = rivals.index(i)
        loss -= np.log(shares[own]) / n
        shares[own] -= 1
        slope[i] = shares @ captions[rivals] / (temperature * n)
    return loss, pull_back(outputs, slope)


def retrieval(student: Floats, teacher: Floats) -> float:
    """M_rel, read literally."""
    hits = 0
    for i, row in enumerate(student):
        apart = [((row - other) ** 2).sum() for other in teacher]
        hits += apart[i] <= min(apart) + 1e-9
    return hits / len(student)


def neighbourhood(student: Floats, teacher: Floats, k: int) -> float:
    """M_neigh, read literally: a point is no neighbour of itself."""
    n = len(student)
    k = min(k, n - 1)
    shared = 0
    for i in range(n):
        found = []
        for space in (student, teacher):
            apart = [(((space[i] - space[j]) ** 2).sum(), j) for j in range(n) if j != i]
            found.append({j for _, j in sorted(apart)[:k]})
        shared += len(found[0] & found[1])
    return shared / (k * n)


def inversions(student: Floats, teacher: Floats, texts: Floats, k: int) -> float:
    """M_vlalign, read literally."""
    count = 0
    for ours, theirs in zip(student, teacher, strict=True):
        order = sorted(range(len(texts)), key=lambda j: (((theirs - texts[j]) ** 2).sum(), j))[:k]
        apart = [((ours - texts[j]) ** 2).sum() for j in order]
        count += sum(
            apart[a] > apart[b] + 1e-9 for a in range(len(apart)) for b in range(a + 1, len(apart))
        )
    return count / len(student)
