"""A checkpoint as PyTorch users have them, for the tests of foreign weights.

  python benches/peers/weights.py [--out nn/tests/foreign.safetensors]

Needs: torch, safetensors, numpy. A small network behind `DataParallel` (names start with `module.`), convolutions in
half precision, running statistics in bfloat16, the classifier in double precision, counters of batches as they are, and a
projection that the network itself has not. The metadata hold the logits of two samples, computed in f64 from the values in
the file.
"""

import argparse
import json

import torch
from networks import build, evaluate, value_of
from safetensors.torch import save_file
from torch import nn

NETWORK, INPUT, OUTPUTS = {"name": "vgg41_plain", "width": 1 / 32}, (1, 17, 12), 3


def main(out):
    network = build(NETWORK, INPUT, OUTPUTS)
    with torch.no_grad():
        for name, t in network.state_dict().items():
            if t.is_floating_point():
                t.copy_(torch.from_numpy(value_of(name, t.shape)).to(dtype(name, t)))
    state = {name: t.to(dtype(name, t)) for name, t in nn.DataParallel(network).state_dict().items()}
    state["module.projector.weight"] = torch.zeros(2, 8)
    save_file(state, out, metadata={"format": "pt", "logits": json.dumps(evaluate(network, INPUT))})


def dtype(name, t):
    if not t.is_floating_point():
        return t.dtype
    if "running" in name:
        return torch.bfloat16
    if "fc." in name:
        return torch.float64
    return torch.float16 if t.dim() > 1 else torch.float32


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="nn/tests/foreign.safetensors")
    main(parser.parse_args().out)
