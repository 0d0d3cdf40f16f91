"""Samples a second of the networks in PyTorch on the CPU, in the layout that is fastest there (channels-last).

  python benches/peers/training.py NETWORK BATCH MODE [INPUT [THREADS]]

MODE is `train` (forward, BCE, backward, Adam) or `infer`, INPUT channels, frames and bands such as 3x341x394. Prints one line
as nn/benches/train_step.rs does: program, network, mode, batch, samples a second (median, best), MiB. Needs: torch.
"""

import sys
import time

import torch

from networks import build

network, batch, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(int(sys.argv[5]) if len(sys.argv) > 5 else 2)
torch.manual_seed(0)
shape = tuple(map(int, sys.argv[4].split("x"))) if len(sys.argv) > 4 else (1, 101, 96)
net = build({"name": network}, shape, 200).float().to(memory_format=torch.channels_last)
inputs = torch.randn(batch, *shape).to(memory_format=torch.channels_last)
targets = (torch.rand(batch, 200) < 0.015).float()
loss = torch.nn.BCEWithLogitsLoss()
optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)


def train():
    optimiser.zero_grad(set_to_none=True)
    loss(net(inputs), targets).backward()
    optimiser.step()


def infer():
    with torch.no_grad():
        net(inputs)


net.train(mode == "train")
step = train if mode == "train" else infer
step()
step()
begin, times = time.perf_counter(), []
while len(times) < 5 or time.perf_counter() - begin < 5:
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
times.sort()
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
rates = [batch / times[len(times) // 2], batch / times[0]]
print("pytorch", network, mode, batch, *(f"{rate:.1f}" for rate in rates), int(peak.split()[1]) // 1024, sep="\t")
