"""Pairs a second of contrastive pre-training in PyTorch, the views made by the workers of its own DataLoader.

  python benches/peers/pretraining.py FRAMES BANDS WIDTH BATCH [EPOCHS [WORKERS]]

The recipe of `../pretraining.yaml`: two random patches of a clip, mix-back with adjusted energy, random resized crop, compression, Gaussian
noise, standardised; VGG41 in the plain drawing, two linear layers, NT-Xent, Adam; in the layout that is fastest here (channels-last). Prints a
line: program, pairs a second in training, pairs a second that the workers make with nothing else to do, share of the time that the network
waits for them. Needs: torch.
"""

import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from networks import build

frames, bands, width, batch = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
epochs = int(sys.argv[5]) if len(sys.argv) > 5 else 2
workers = int(sys.argv[6]) if len(sys.argv) > 6 else 2
torch.set_num_threads(2)
torch.manual_seed(0)
CLIPS, LENGTH, SIZE, TEMPERATURE = 256, 501, 128, 0.2


def uniform(low, high):
    return low + (high - low) * torch.rand(()).item()


class Pairs(Dataset):
    """Two views of each clip."""

    def __init__(self):
        self.clips = torch.randn(CLIPS, LENGTH, bands) - 4.0
        self.mean, self.deviation = self.clips.mean(), self.clips.std()

    def __len__(self):
        return CLIPS

    def patch(self, clip):
        start = torch.randint(LENGTH - frames + 1, ()).item()
        return self.clips[clip, start : start + frames]

    def view(self, clip, background, share):
        own, other = 10 ** self.patch(clip), 10 ** self.patch(background)
        other = other * (own.sum() / other.sum())
        return torch.log10((1 - share) * own + share * other)

    def crop(self, x):
        for _ in range(10):
            area, aspect = frames * bands * uniform(0.8, 1.0), math.exp(uniform(math.log(3 / 4), math.log(4 / 3)))
            h, w = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < h <= frames and 0 < w <= bands:
                t, f = torch.randint(frames - h + 1, ()).item(), torch.randint(bands - w + 1, ()).item()
                part = x[None, None, t : t + h, f : f + w]
                return F.interpolate(part, (frames, bands), mode="bilinear", align_corners=False)[0, 0]
        return x

    def __getitem__(self, clip):
        share = uniform(0.0, 0.05)
        first, second = ((torch.randperm(CLIPS - 1)[:2] + clip + 1) % CLIPS).tolist()
        views = [self.view(clip, background, share) for background in (first, second)]
        views = [self.crop(x) * uniform(0.75, 1.0) for x in views]
        views = [x + uniform(0.0, 0.01) * torch.randn(frames, bands) for x in views]
        return torch.stack(views).sub_(self.mean).div_(self.deviation)


def nt_xent(z):
    n = len(z) // 2
    likeness = (z @ z.T / TEMPERATURE).fill_diagonal_(float("-inf"))
    return F.cross_entropy(likeness, torch.arange(2 * n).roll(n))


pairs = Pairs()
loader = DataLoader(pairs, batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0)
made = 0
for views in loader:
    made = made or time.perf_counter()
making = (len(loader) - 1) * batch / (time.perf_counter() - made)

body = build({"name": "vgg41_plain", "width": width}, (1, frames, bands), 512).float()
head = nn.Sequential(nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, SIZE))
net = nn.Sequential(body, head).to(memory_format=torch.channels_last).train()
optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
waiting, seen, begin = 0.0, 0, None
for epoch in range(epochs + 1):
    if epoch == 1:  # the first one warms up
        begin, waiting, seen = time.perf_counter(), 0.0, 0
    asked = time.perf_counter()
    for views in loader:
        waiting += time.perf_counter() - asked
        x = views.transpose(0, 1).reshape(-1, 1, frames, bands).contiguous(memory_format=torch.channels_last)
        optimiser.zero_grad(set_to_none=True)
        loss = nt_xent(F.normalize(net(x), dim=1))
        loss.backward()
        optimiser.step()
        loss.item()
        seen += len(views)
        asked = time.perf_counter()
took = time.perf_counter() - begin
print("pytorch", f"{seen / took:.0f}", f"{making:.0f}", f"{100 * waiting / took:.1f} %", sep="\t")
