"""Check values of evaluate.knn and evaluate.retrieval: the fixture of stages/tests/learning/neighbours.rs.

    pip install scikit-learn && python benches/peers/neighbours.py > stages/tests/learning/neighbours.json

Forty clips of four classes with one to three patches of six numbers; of five clips the last three train, the others test.
"""

import json

import numpy as np
import sklearn
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

CLASSES, CLIPS, SIZE = 4, 40, 6
K, TEMPERATURE = 7, 0.2


def neighbours(queries, bank, allowed):
    """The places and cosines of the K nearest of the bank that each query may have."""
    search = NearestNeighbors(n_neighbors=len(bank), algorithm="brute", metric="cosine").fit(bank)
    distance, place = search.kneighbors(queries)
    for query in range(len(queries)):
        own = [(p, 1 - d) for p, d in zip(place[query], distance[query]) if allowed(query, p)]
        yield own[:K]


def top(scores, label):
    """Whether the class of each clip is among the three best that have a score."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    return np.array([c in row and s[c] > 0 for row, c, s in zip(order, label, scores)])


def judge(scores, nearest, label):
    """The metrics of a protocol."""
    predicted, first, within = scores.argmax(1), nearest.argmax(1), top(scores, label)
    return {
        "accuracy": accuracy_score(label, predicted),
        "balanced_accuracy": balanced_accuracy_score(label, predicted),
        "accuracy_top_3": float(within.mean()),
        "balanced_accuracy_top_3": float(np.mean([within[label == c].mean() for c in range(CLASSES)])),
        "accuracy_1nn": accuracy_score(label, first),
        "balanced_accuracy_1nn": balanced_accuracy_score(label, first),
    }


def leave_one_clip_out(vectors, clip, label):
    """Majority of neighbours of other clips for each patch, majority of patches for each clip; losers by neighbours."""
    votes, wins, ones = (np.zeros((CLIPS, CLASSES)) for _ in range(3))
    for query, found in enumerate(neighbours(vectors, vectors, lambda q, p: clip[q] != clip[p])):
        count = np.bincount([label[clip[p]] for p, _ in found], minlength=CLASSES)
        votes[clip[query]] += count
        wins[clip[query], count.argmax()] += 1
        ones[clip[query], label[clip[found[0][0]]]] += 1
    scores = np.where(wins > 0, wins, votes / (votes.sum(1, keepdims=True) + 1))
    return judge(scores, ones, label)


def memory_bank(vectors, clip, label, train):
    """Weighted neighbours among the patches of training clips."""
    bank = np.flatnonzero(train[clip])
    tests = np.flatnonzero(~train)
    scores, ones = np.zeros((len(tests), CLASSES)), np.zeros((len(tests), CLASSES))
    queries = np.flatnonzero(~train[clip])
    for query, found in zip(queries, neighbours(vectors[queries], vectors[bank], lambda q, p: True)):
        weight = np.zeros(CLASSES)
        for p, cosine in found:
            weight[label[clip[bank[p]]]] += np.exp(cosine / TEMPERATURE)
        row = np.searchsorted(tests, clip[query])
        scores[row] += weight / weight.sum() / (clip == clip[query]).sum()
        ones[row, label[clip[bank[found[0][0]]]]] += 1
    return judge(scores, ones, label[tests])


def retrieval(vectors, several):
    """Average precision of pairs of a class against pairs with the rest."""
    precision, prior = [], []
    for c in range(CLASSES):
        own, rest = vectors[several[:, c] == 1], vectors[several[:, c] == 0]
        pairs = cosine_similarity(own)[np.triu_indices(len(own), 1)]
        others = cosine_similarity(own, rest).ravel()
        truth = np.r_[np.ones(len(pairs)), np.zeros(len(others))]
        precision.append(average_precision_score(truth, np.r_[pairs, others]))
        prior.append(float(truth.mean()))
    return {"AP": precision, "mAP": float(np.mean(precision)), "prior": prior}


def main():
    rng = np.random.default_rng(2)
    label = np.concatenate([np.arange(CLASSES), rng.integers(0, CLASSES, CLIPS - CLASSES)])
    clip = np.repeat(np.arange(CLIPS), rng.integers(1, 4, CLIPS))
    centres = rng.normal(size=(CLASSES, SIZE))
    vectors = (centres[label[clip]] + 1.3 * rng.normal(size=(len(clip), SIZE))).astype(np.float32)
    train = np.arange(CLIPS) % 5 >= 2
    several = (rng.random((CLIPS, CLASSES)) < 0.3).astype(int)
    first = vectors[np.searchsorted(clip, np.arange(CLIPS))]
    found = {
        "scikit-learn": sklearn.__version__,
        "k": K,
        "temperature": TEMPERATURE,
        "label": label.tolist(),
        "clip": clip.tolist(),
        "vectors": vectors.tolist(),
        "several": several.tolist(),
        "leave_one_clip_out": leave_one_clip_out(vectors, clip, label),
        "memory_bank": memory_bank(vectors, clip, label, train),
        "retrieval": retrieval(first, several),
    }
    print(json.dumps(found, separators=(",", ":")).replace(',"', ',\n"'))


if __name__ == "__main__":
    main()
