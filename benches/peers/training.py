"""Samples a second of the networks in PyTorch, in the layout that is fastest there (channels-last).

  python benches/peers/training.py NETWORK BATCH MODE [INPUT [THREADS]] [--device cuda]

On a GPU with TF32, eagerly, with batches that come from the host, as sndpipe's do, and a loss that goes back there.

MODE is `train` (forward, BCE, backward, Adam) or `infer`, INPUT channels, frames and bands such as 3x341x394. Prints one line
as nn/benches/train_step.rs does: program, network, mode, batch, samples a second (median, best), MiB. Needs: torch.
"""

import sys
import time

import torch

from networks import build

arguments, device = sys.argv[1:], "cpu"
if "--device" in arguments:
    at = arguments.index("--device")
    device = arguments[at + 1]
    del arguments[at : at + 2]
network, batch, mode = arguments[0], int(arguments[1]), arguments[2]
shape = tuple(map(int, arguments[3].split("x"))) if len(arguments) > 3 else (1, 101, 96)
torch.set_num_threads(int(arguments[4]) if len(arguments) > 4 else 2)
torch.manual_seed(0)
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
net = build({"name": network}, shape, 200).float().to(device, memory_format=torch.channels_last)
inputs = torch.randn(batch, *shape).to(memory_format=torch.channels_last)
targets = (torch.rand(batch, 200) < 0.015).float()
loss = torch.nn.BCEWithLogitsLoss()
optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)


def train():
    optimiser.zero_grad(set_to_none=True)
    value = loss(net(inputs.to(device)), targets.to(device))
    value.backward()
    optimiser.step()
    value.item()


def infer():
    with torch.no_grad():
        net(inputs.to(device)).cpu()


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
