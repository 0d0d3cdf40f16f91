"""Check values of the metrics from scikit-learn and SciPy: the fixture of stages/tests/learning/evaluate.rs.

    pip install scikit-learn scipy && python benches/peers/metrics.py > stages/tests/learning/metrics.json

Scores are multiples of 1/8, so that many are equal and every number is exact in binary.
"""

import json

import numpy as np
import sklearn
from scipy.stats import norm, rankdata
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    label_ranking_average_precision_score,
    roc_auc_score,
)

CLASSES = 5


def mean(values):
    """The mean of the values that are there."""
    values = [value for value in values if value is not None]
    return float(np.mean(values))


def d_prime(area):
    """The sensitivity index; none where it is infinite."""
    value = None if area is None else float(np.sqrt(2) * norm.ppf(area))
    return value if value is not None and np.isfinite(value) else None


def ranks(row):
    """The rank of each class from 1, equals at the worst of their ranks."""
    return rankdata(-row, method="max")


def lwlrap(truth, scores):
    """Label-weighted label-ranking average precision of each class, and of all labels."""
    found = [[] for _ in range(CLASSES)]
    for labels, row in zip(truth, scores):
        rank = ranks(row)
        for c in np.flatnonzero(labels):
            found[c].append((labels & (rank <= rank[c])).sum() / rank[c])
    labelled = truth.sum(1) > 0
    weights = truth[labelled].sum(1)
    peer = label_ranking_average_precision_score(truth[labelled], scores[labelled], sample_weight=weights)
    assert abs(np.mean(sum(found, [])) - peer) < 1e-12, (found, peer)
    return [float(np.mean(values)) if values else None for values in found], float(peer)


def case(name, truth, scores):
    """Every metric of one set of clips."""
    found = {"name": name, "truth": truth.tolist(), "scores": scores.tolist()}
    with_positives = [c for c in range(CLASSES) if truth[:, c].any()]
    precision = {c: average_precision_score(truth[:, c], scores[:, c]) for c in with_positives}
    area = {c: roc_auc_score(truth[:, c], scores[:, c]) for c in with_positives}
    found["average_precision"] = [precision.get(c) for c in range(CLASSES)]
    found["AUC_by_class"] = [area.get(c) for c in range(CLASSES)]
    found["mAP"] = float(np.mean(list(precision.values())))
    found["AUC"] = float(np.mean(list(area.values())))
    found["dprime"] = [d_prime(area.get(c)) for c in range(CLASSES)]
    found["dprime_macro"] = mean(found["dprime"])
    found["dprime_of_mean_auc"] = d_prime(found["AUC"])
    found["lwlrap_by_class"], found["lwlrap"] = lwlrap(truth, scores)
    if (truth.sum(1) == 1).all():
        label, predicted = truth.argmax(1), scores.argmax(1)
        found["accuracy"] = accuracy_score(label, predicted)
        found["balanced_accuracy"] = balanced_accuracy_score(label, predicted)
        rank = np.array([ranks(row)[c] for row, c in zip(scores, label)])
        at_3 = np.where(rank <= 3, 1 / rank, 0)
        found["mAP@3"] = float(at_3.mean())
        found["mAP@3_by_class"] = [float(at_3[label == c].mean()) for c in range(CLASSES)]
        found["confusion"] = confusion_matrix(label, predicted, labels=range(CLASSES)).tolist()
    return found


def main():
    rng = np.random.default_rng(0)
    label = np.concatenate([np.arange(CLASSES), rng.integers(0, CLASSES, 35)])
    single = np.eye(CLASSES, dtype=int)[label]
    scores = np.round((rng.random((40, CLASSES)) + 0.6 * single) * 8) / 8
    several = (rng.random((40, CLASSES)) < 0.3).astype(int)
    other = np.round((rng.random((40, CLASSES)) + 0.4 * several) * 8) / 8
    gap = several.copy()
    gap[:, 3] = 0
    distinct = np.argsort(rng.random((40, CLASSES)), axis=1) / 8
    ranked = case("several, distinct scores", several, distinct)
    cases = [case("one", single, scores), case("several", several, other), case("a class without positives", gap, other), ranked]
    print(json.dumps({"scikit-learn": sklearn.__version__, "cases": cases}, separators=(",", ":")).replace('{"name"', '\n{"name"'))


if __name__ == "__main__":
    main()
