"""The networks of sndpipe in PyTorch: check values for its tests, and an exchange of weights.

  python benches/peers/networks.py [--out nn/tests/networks.json] [--weights nn/tests/networks.safetensors] [--only NAME]
  python benches/peers/networks.py --roundtrip FILE [--to FILE]

Needs: torch, safetensors, numpy. All parameters, buffers and inputs come from formulas (`noise`, `value_of`), which
nn/tests/nn/networks.rs repeats, so that the fixture holds results only. Results are computed in f64 from values that were
rounded to f32; what f32 gives is printed beside them. `--roundtrip` reads weights that sndpipe has written into the
same network here, name by name, prints the logits of two samples, and writes the weights for sndpipe to read.
"""

import argparse
import json
import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

torch.set_num_threads(1)

KERAS = {"eps": 1e-3, "momentum": 0.01}


# Values from formulas.


def noise(name, count):
    """Numbers in [0, 1): the FNV-1a hash of the name, mixed with each index by MurmurHash3's finaliser."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 % 2**32
    mask = np.uint64(0xFFFFFFFF)
    z = (np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B9) + np.uint64(seed)) & mask
    z = (z ^ (z >> np.uint64(16))) * np.uint64(0x85EBCA6B) & mask
    z = (z ^ (z >> np.uint64(13))) * np.uint64(0xC2B2AE35) & mask
    z ^= z >> np.uint64(16)
    return z.astype(np.float64) / 2**32


def value_of(name, shape):
    """The value of a parameter or buffer, as f32.

    `bn3` ends the residual branch of a bottleneck; small weights there keep the sum over many blocks small, and errors of
    rounding with it.
    """
    u = noise(name, math.prod(shape))
    if name.endswith("running_var"):
        u = 0.5 + u
    elif len(shape) > 1:
        u = (2.0 * u - 1.0) * math.sqrt(6.0 / math.prod(shape[1:]))
    elif name.endswith("bn3.weight"):
        u = 0.2 + 0.1 * u
    elif name.endswith("weight"):
        u = 0.75 + 0.5 * u
    else:
        u = 0.2 * u - 0.1
    return u.astype(np.float32).reshape(shape)


def samples(count, shape):
    """Inputs (count, channels, frames, bands), as f32."""
    x = 4.0 * noise("inputs", count * math.prod(shape)) - 2.0
    return x.astype(np.float32).reshape(count, *shape)


# Layers.


def same(length, kernel, stride):
    """TensorFlow's SAME padding along one axis: before, behind."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def pad_same(x, kernel, stride, value=0.0):
    (top, bottom), (left, right) = (same(n, kernel, stride) for n in x.shape[2:])
    return F.pad(x, (left, right, top, bottom), value=value)


class SameConv(nn.Conv2d):
    """Convolution without bias and with SAME padding."""

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1):
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x):
        return super().forward(pad_same(x, self.kernel_size[0], self.stride[0]))


class LowPass(nn.Module):
    """Depth-wise low-pass filter: the softmax of trained taps, or the binomial kernel."""

    def __init__(self, channels, size, stride, trained):
        super().__init__()
        self.size, self.stride, self.channels = size, stride, channels
        if trained:
            self.weight = nn.Parameter(torch.empty(channels, 1, size, size))
        else:
            row = torch.tensor([math.comb(size - 1, i) for i in range(size)], dtype=torch.float64)
            self.kernel = torch.outer(row, row) / row.sum() ** 2
            self.weight = None

    def forward(self, x):
        if self.weight is None:
            kernel = self.kernel.to(x.dtype).expand(self.channels, 1, self.size, self.size)
        else:
            kernel = torch.softmax(self.weight.flatten(1), 1).view_as(self.weight)
        return F.conv2d(pad_same(x, self.size, self.stride), kernel, stride=self.stride, groups=self.channels)


class Polyphase(nn.Module):
    """Adaptive polyphase sampling."""

    NORMS = {
        "l1_induced": lambda g: g.abs().sum((1, 2)).amax(0),
        "l1_flat": lambda g: g.abs().sum(),
        "l2": lambda g: g.square().sum().sqrt(),
        "l_inf": lambda g: g.abs().amax(),
    }

    def __init__(self, norm):
        super().__init__()
        self.norm = self.NORMS[norm]

    def forward(self, x):
        if x.shape[2] % 2:
            x = torch.cat([x, x[:, :, -2:-1]], 2)
        if x.shape[3] % 2:
            x = torch.cat([x, x[:, :, :, -2:-1]], 3)
        kept = []
        for sample in x:
            grids = [sample[:, t::2, f::2] for t, f in ((0, 0), (1, 0), (0, 1), (1, 1))]
            kept.append(grids[int(np.argmax([float(self.norm(grid).detach()) for grid in grids]))])
        return torch.stack(kept)


class MaxSame(nn.Module):
    """Maximum of 2x2 windows with stride 1 and SAME padding."""

    def forward(self, x):
        return F.max_pool2d(pad_same(x, 2, 1, float("-inf")), 2, 1)


class Pool(nn.Module):
    """Halves an image, in one of the ways of `vgg41`; `weight` is that of a trained low-pass filter."""

    def __init__(self, channels, pool, norm):
        super().__init__()
        kind, size = (pool, None) if isinstance(pool, str) else next(iter(pool.items()))
        adaptive = kind.startswith("aps")
        self.steps = [nn.MaxPool2d(2, ceil_mode=True) if kind == "mp" else MaxSame()]
        if size is not None:
            step = LowPass(channels, size, 1 if adaptive else 2, "tlpf" in kind)
            if step.weight is not None:
                self.weight = step.weight
            self.steps.append(step)
        if adaptive:
            self.steps.append(Polyphase(norm))

    def forward(self, x):
        for step in self.steps:
            if isinstance(step, LowPass) and step.weight is not None:
                step.weight = self.weight
            x = step(x)
        return x


# Networks; `input` is (channels, frames, bands).


class Flat(nn.Module):
    """A body and a linear layer `fc` on what `head` makes of its output."""

    def __init__(self, body, head, features, outputs):
        super().__init__()
        self.body, self.fc, self.head = body, nn.Linear(features, outputs), head

    def forward(self, x):
        return self.fc(self.head(self.body(x)))


def mean_max(x):
    return x.mean(3).amax(2)


def convs(kernel, widths, **norm):
    """Convolution, batch norm and ReLU from each width to the next."""
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(b, **norm), nn.ReLU()]
    return layers


def vgg41_plain(input, outputs, width=1.0):
    widths, layers, last = [max(math.floor(w * width + 0.5), 1) for w in (32, 64, 128, 256)], [], input[0]
    for i, w in enumerate(widths):
        layers += convs(3, [last, w, w]) + ([nn.MaxPool2d(2)] if i < 3 else [])
        last = w
    return Flat(nn.Sequential(*layers), mean_max, last, outputs)


def vgg41(input, outputs, k=1, pool="mp", norm="l1_induced"):
    layers, last = convs(3, [input[0], 32 * k], **KERAS), 32 * k
    for w in (48 * k, 64 * k, 128 * k):
        layers += convs(3, [last, w], **KERAS) + [nn.MaxPool2d(3, 1, 1)] + convs(3, [w, w], **KERAS) + [Pool(w, pool, norm)]
        last = w
    layers += convs(3, [last, 256 * k, 256 * k], **KERAS)
    return Flat(nn.Sequential(*layers), mean_max, 256 * k, outputs)


class VggLike(nn.Module):
    def __init__(self, input, outputs, hidden=256):
        super().__init__()
        layers = convs(3, [input[0], 32, 32, 32]) + [nn.MaxPool2d(2)] + convs(3, [32, 64, 64]) + [nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, *convs(3, [64, 128]), nn.MaxPool2d(2))
        self.hid, self.fc = nn.Linear(256, hidden), nn.Linear(hidden, outputs)

    def forward(self, x):
        x = self.body(x)
        return self.fc(F.relu(self.hid(torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1))))


class Crnn(nn.Module):
    def __init__(self, input, outputs):
        super().__init__()
        layers, last, bands = [], input[0], input[2]
        for columns in (5, 4, 2):
            layers += convs(5, [last, 128]) + [nn.MaxPool2d((2, columns))]
            last, bands = 128, bands // columns
        self.body = nn.Sequential(*layers)
        self.gru = nn.GRU(128 * bands, 64, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(64, outputs)

    def forward(self, x):
        x = self.body(x).permute(0, 2, 3, 1).flatten(2)
        last = self.gru(x)[0][:, -1]
        return self.fc(last[:, :64] * last[:, 64:])


class Attention(nn.Module):
    """`kernel` is (time, frequency): images are transposed against ESResNet's."""

    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.depthwise = nn.Conv2d(inputs, inputs, kernel, padding=padding, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x, y):
        return y * torch.sigmoid(self.bn(self.pointwise(self.depthwise(F.adaptive_max_pool2d(x, y.shape[2:])))))


class Block(nn.Module):
    """A basic block (two 3x3 convolutions) or a bottleneck (1x1, 3x3, 1x1)."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        kernels = [(1, 1), (3, stride), (1, 1)] if bottleneck else [(3, stride), (3, 1)]
        widths = [inputs, width, width, outputs] if bottleneck else [inputs, width, outputs]
        for i, ((kernel, step), a, b) in enumerate(zip(kernels, widths, widths[1:]), 1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, kernel, stride=step, padding=kernel // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(b))
        self.depth, self.downsample = len(kernels), None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = F.relu(y) if i < self.depth else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's names; attention as in ESResNet. Batch norm sees the images of all samples together."""

    def __init__(self, input, outputs, counts, bottleneck, attention=False, images=1):
        super().__init__()
        self.images = images
        self.conv1, self.bn1 = nn.Conv2d(input[0] // images, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64)
        last, self.attention = 64, attention
        for i, (width, count) in enumerate(zip((64, 128, 256, 512), counts), 1):
            blocks, before = [], last
            for block in range(count):
                blocks.append(Block(last, width, 2 if i > 1 and block == 0 else 1, bottleneck))
                last = 4 * width if bottleneck else width
            self.add_module(f"layer{i}", nn.Sequential(*blocks))
            if attention:
                self.add_module(f"att{i}", Attention(before, last, (1, 3) if i % 2 else (5, 1)))
        if attention:
            self.att5 = Attention(last, last, (5, 3))
        self.fc = nn.Linear(last, outputs)

    def forward(self, x):
        n = len(x)
        x = x.reshape(n * self.images, -1, *x.shape[2:])
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(1, 5):
            y = getattr(self, f"layer{i}")(x)
            x = getattr(self, f"att{i}")(x, y) if self.attention else y
        y = x.mean((2, 3), keepdim=True)
        y = self.att5(x, y) if self.attention else y
        return self.fc(y.reshape(n, self.images, -1).sum(1))


def resnet18(input, outputs):
    return ResNet(input, outputs, (2, 2, 2, 2), False)


def resnet50(input, outputs, attention=False, stereo=False):
    return ResNet(input, outputs, (3, 4, 6, 3), True, attention, 2 if stereo else 1)


class Separable(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        norm = {"eps": 1e-3, "momentum": 3e-4}
        self.depthwise, self.bn1 = SameConv(inputs, inputs, 3, stride, inputs), nn.BatchNorm2d(inputs, **norm)
        self.pointwise, self.bn2 = SameConv(inputs, outputs, 1), nn.BatchNorm2d(outputs, **norm)

    def forward(self, x):
        x = F.relu(self.bn1(self.depthwise(x)))
        return F.relu(self.bn2(self.pointwise(x)))


def mobilenet_v1(input, outputs):
    """Google's audio variant: the stem has 16 channels and stride 1."""
    stem = OrderedDict(conv=SameConv(input[0], 16, 3), bn=nn.BatchNorm2d(16, eps=1e-3, momentum=3e-4), relu=nn.ReLU())
    layers, last = [nn.Sequential(stem)], 16
    strides = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)] + 5 * [(1, 512)] + [(2, 1024), (1, 1024)]
    for stride, width in strides:
        layers.append(Separable(last, width, stride))
        last = width
    return Flat(nn.Sequential(*layers), lambda x: x.mean((2, 3)), last, outputs)


class DenseLayer(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 128, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(128), nn.Conv2d(128, 32, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))], 1)


class DenseNet121(nn.Module):
    """torchvision's names."""

    def __init__(self, input, outputs):
        super().__init__()
        parts, last = OrderedDict(), 64
        parts["conv0"] = nn.Conv2d(input[0], 64, 7, stride=2, padding=3, bias=False)
        parts.update(norm0=nn.BatchNorm2d(64), relu0=nn.ReLU(), pool0=nn.MaxPool2d(3, 2, 1))
        for i, count in enumerate((6, 12, 24, 16), 1):
            layers = OrderedDict((f"denselayer{j + 1}", DenseLayer(last + 32 * j)) for j in range(count))
            parts[f"denseblock{i}"] = nn.Sequential(layers)
            last += 32 * count
            if i < 4:
                half = OrderedDict(norm=nn.BatchNorm2d(last), relu=nn.ReLU(), conv=nn.Conv2d(last, last // 2, 1, bias=False))
                parts[f"transition{i}"] = nn.Sequential(OrderedDict(**half, pool=nn.AvgPool2d(2)))
                last //= 2
        parts["norm5"] = nn.BatchNorm2d(last)
        self.features, self.classifier = nn.Sequential(parts), nn.Linear(last, outputs)

    def forward(self, x):
        return self.classifier(F.relu(self.features(x)).mean((2, 3)))


class NoisyCnn(nn.Module):
    """Pre-activation; the flattened order is (time, frequency, channel)."""

    def __init__(self, input, outputs, dropout=0.5):
        super().__init__()
        widths = (input[0], 24, 48, 48)
        for i, (a, b) in enumerate(zip(widths, widths[1:]), 1):
            self.add_module(f"bn{2 * i - 1}", nn.BatchNorm2d(a, **KERAS))
            self.add_module(f"conv{i}", nn.Conv2d(a, b, 5, padding=2))
            self.add_module(f"bn{2 * i}", nn.BatchNorm2d(b, **KERAS))
        self.fc1 = nn.Linear(48 * (input[1] // 16) * (input[2] // 4), 64)
        self.fc, self.drop = nn.Linear(64, outputs), nn.Dropout(dropout)

    def forward(self, x):
        for i in (1, 2, 3):
            x = getattr(self, f"conv{i}")(F.relu(getattr(self, f"bn{2 * i - 1}")(x)))
            x = F.relu(getattr(self, f"bn{2 * i}")(x))
            x = F.max_pool2d(x, (4, 2)) if i < 3 else x
        x = F.relu(self.fc1(self.drop(x.permute(0, 2, 3, 1).flatten(1))))
        return self.fc(self.drop(x))


class DenseSeModule(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs, **KERAS), nn.Conv2d(inputs, growth, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(growth, **KERAS), nn.Conv2d(growth, growth, 3, padding=1)
        self.squeeze, self.excite = nn.Linear(growth, growth // 2), nn.Linear(growth // 2, growth)

    def forward(self, x):
        y = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3))))))
        return torch.cat([y * gate[:, :, None, None], x], 1)


class DenseSe(nn.Module):
    """The normalised input stands before what the first convolution finds; the flattened order is (time, frequency, channel)."""

    def __init__(self, input, outputs, dropout=0.5):
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(input[0], **KERAS), nn.Conv2d(input[0], 15, 3, padding=1)
        channels, rows, cols = input[0] + 15, input[1], input[2]
        blocks = []
        for growth in (16, 32, 64, 128):
            blocks.append(DenseSeModule(channels, growth))
            channels, rows, cols = channels + growth, -(-rows // 2), -(-cols // 2)
        self.dense = nn.ModuleList(blocks)
        self.bn_last, self.drop = nn.BatchNorm2d(channels, **KERAS), nn.Dropout(dropout)
        self.fc = nn.Linear(channels * rows * cols, outputs)

    def forward(self, x):
        x = self.bn(x)
        x = torch.cat([x, self.conv(x)], 1)
        for block in self.dense:
            x = F.max_pool2d(pad_same(block(x), 2, 2, -math.inf), 2)
        x = F.relu(self.bn_last(x))
        return self.fc(self.drop(x.permute(0, 2, 3, 1).flatten(1)))


def mlp(input, outputs, hidden, dropout=0.0):
    layers, last = [nn.Flatten()], math.prod(input)
    body = OrderedDict()
    for i, size in enumerate(hidden):
        step = 3 if dropout else 2
        body[str(step * i)], body[str(step * i + 1)] = nn.Linear(last, size), nn.ReLU()
        if dropout:
            body[str(step * i + 2)] = nn.Dropout(dropout)
        last = size
    network = Flat(nn.Sequential(body), nn.Identity(), last, outputs)
    network.register_forward_pre_hook(lambda _, inputs: (layers[0](inputs[0]),))
    return network


NETWORKS = {
    "vgg41_plain": vgg41_plain, "vgg41": vgg41, "vgg_like": VggLike, "crnn": Crnn, "resnet18": resnet18, "resnet50": resnet50,
    "mobilenet_v1": mobilenet_v1, "densenet121": DenseNet121, "noisy_cnn": NoisyCnn, "dense_se": DenseSe,
    "mlp": mlp,
}


def build(spec, input, outputs):
    options = dict(spec)
    with torch.device("cpu"):
        return NETWORKS[options.pop("name")](tuple(input), outputs, **options)


# What the fixture holds.

VGG41 = {"name": "vgg41", "k": 1}
# Network, input (channels, frames, bands), learning rate, steps. Odd sizes, so that the two ends of an axis differ; rates at
# which a ReLU or maximum that rounding tips over the other way changes little.
CASES = [
    ({"name": "mlp", "hidden": [40, 24]}, (2, 9, 8), 0.2, 5),
    ({"name": "vgg41_plain", "width": 1.0}, (1, 29, 22), 0.0002, 5),
    ({**VGG41, "pool": "mp"}, (1, 27, 22), 0.0005, 5),
    ({**VGG41, "pool": {"blur": 4}}, (1, 27, 22), 0.0005, 5),
    ({**VGG41, "pool": {"tlpf": 5}}, (2, 27, 22), 0.0005, 5),
    ({**VGG41, "pool": "aps"}, (1, 27, 22), 0.0005, 5),
    ({**VGG41, "pool": {"aps_tlpf": 5}}, (1, 27, 22), 0.0005, 5),
    ({**VGG41, "pool": {"aps_blur": 3}, "norm": "l2"}, (1, 27, 22), 0.0005, 5),
    ({"name": "vgg_like", "hidden": 256}, (1, 29, 22), 0.001, 5),
    ({"name": "crnn"}, (1, 27, 96), 0.1, 5),
    ({"name": "resnet18"}, (1, 63, 50), 0.0003, 5),
    ({"name": "resnet50"}, (3, 63, 50), 0.0005, 2),
    ({"name": "resnet50", "attention": True, "stereo": True}, (6, 63, 50), 0.0005, 3),
    ({"name": "mobilenet_v1"}, (1, 49, 38), 0.00005, 5),
    ({"name": "densenet121"}, (1, 63, 66), 0.00005, 5),
    ({"name": "noisy_cnn", "dropout": 0.0}, (1, 100, 96), 0.002, 5),
    ({"name": "dense_se", "dropout": 0.0}, (1, 29, 22), 0.002, 5),
]
# Network, channels of the input, outputs, the number of parameters where it is known from elsewhere.
COUNTS = [
    ({"name": "vgg41_plain", "width": 1.0}, 1, 200, 1_224_040),
    ({**VGG41, "pool": "mp"}, 1, 200, 1_258_728),
    ({**VGG41, "pool": {"tlpf": 5}}, 1, 200, 1_264_728),
    ({"name": "vgg41", "k": 2, "pool": "mp"}, 1, 200, 4_927_240),
    ({"name": "vgg_like", "hidden": 256}, 1, 200, 265_640),
    ({"name": "vgg_like", "hidden": 512}, 1, 20, 290_292),
    ({"name": "crnn"}, 1, 200, 959_816),
    ({"name": "crnn"}, 1, 20, 948_116),
    ({"name": "resnet18"}, 1, 200, 11_272_840),
    ({"name": "resnet18"}, 1, 20, 11_180_500),
    ({"name": "resnet50"}, 3, 50, 23_610_482),
    ({"name": "resnet50", "attention": True}, 3, 50, 30_634_098),
    ({"name": "mobilenet_v1"}, 1, 527, 3_745_199),
    ({"name": "densenet121"}, 1, 200, None),
    ({"name": "noisy_cnn", "dropout": 0.5}, 1, 20, None),
    ({"name": "dense_se", "dropout": 0.5}, 1, 20, None),
]
OUTPUTS, BATCH = 5, 4


def tensors(network):
    """Parameters and buffers by name, without PyTorch's counters."""
    return {name: t for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def count(network, input, outputs, expected):
    trained = sum(p.numel() for p in network.parameters())
    everything = sum(t.numel() for t in tensors(network).values())
    assert expected in (None, trained), f"{trained} parameters instead of {expected}"
    return {"input": shape_json(input), "outputs": outputs, "parameters": trained, "numbers": everything}


def shape_json(input):
    return dict(zip(("channels", "frames", "bands"), input))


def rounded(values, digits):
    return [float(f"{v:.{digits}g}") for v in np.asarray(values, dtype=np.float64).ravel()]


def run(spec, input, rate, steps, dtype):
    """Evaluates, trains, evaluates again: logits, losses, logits; how far one step at rate 1 moves each tensor; parameters.

    That step comes first; then all tensors are put back, and only the momentum of the optimiser goes on.
    """
    network = build(spec, input, OUTPUTS)
    start = {name: torch.from_numpy(value_of(name, t.shape)) for name, t in tensors(network).items()}
    x = torch.from_numpy(samples(BATCH, input)).to(dtype)
    targets = torch.from_numpy((noise("targets", BATCH * OUTPUTS) < 0.4).reshape(BATCH, OUTPUTS)).to(dtype)
    network.to(dtype)

    optimiser = torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9)

    def put_back():
        with torch.no_grad():
            for name, t in tensors(network).items():
                t.copy_(start[name])

    def step(rate):
        network.train()
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(network(x), targets)
        loss.backward()
        optimiser.step()
        return loss.item()

    def logits():
        network.eval()
        with torch.no_grad():
            return network(x[:2]).numpy()

    put_back()
    step(1.0)
    moved = {name: float((t - start[name].to(dtype)).norm()) for name, t in tensors(network).items()}
    put_back()
    first = logits()
    losses = np.array([step(rate) for _ in range(steps)])
    return first, losses, logits(), moved, sum(p.numel() for p in network.parameters())


def far(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


def case(spec, input, rate, steps):
    wide, narrow = (run(spec, input, rate, steps, dtype) for dtype in (torch.float64, torch.float32))
    least = 3e-5 * max(wide[3].values())
    off = [far(a, b) for a, b in zip(narrow[:3], wide[:3])]
    off.append(max(abs(narrow[3][name] - m) / max(m, least) for name, m in wide[3].items()))
    print(json.dumps(spec), "losses", rounded(wide[1], 4), "f32 is off by", " ".join(f"{v:.1e}" for v in off), flush=True)
    return {
        "network": spec, "input": shape_json(input), "outputs": OUTPUTS, "parameters": wide[4], "rate": rate,
        "logits": rounded(wide[0], 9), "losses": rounded(wide[1], 9), "logits_after": rounded(wide[2], 9),
        "moved": {name: rounded(m, 6)[0] for name, m in wide[3].items()},
    }


def fixture(out, weights, only):
    counts = []
    for spec, channels, outputs, expected in COUNTS:
        if only in (None, spec["name"]):
            input = (channels, 100 if spec["name"] in ("noisy_cnn", "dense_se") else 101, 96)
            with torch.device("meta"):
                network = NETWORKS[spec["name"]](input, outputs, **{k: v for k, v in spec.items() if k != "name"})
            entry = {"network": spec, **count(network, input, outputs, expected)}
            print(json.dumps(spec), outputs, "outputs:", entry["parameters"], "parameters,", entry["numbers"], "with buffers")
            # The large ones are in the cases too, with fewer outputs; building them twice takes the tests too long.
            if entry["parameters"] < 10_000_000:
                counts.append(entry)
    cases = [case(*of) for of in CASES if only in (None, of[0]["name"])]
    if only is None:
        lines = [",\n".join(json.dumps(entry, separators=(",", ":")) for entry in part) for part in (counts, cases)]
        Path(out).write_text(f'{{"counts":[\n{lines[0]}\n],\n"cases":[\n{lines[1]}\n]}}\n')
        spec, input = {"name": "vgg41_plain", "width": 1 / 16}, (1, 29, 22)
        network = build(spec, input, OUTPUTS)
        with torch.no_grad():
            for name, t in tensors(network).items():
                t.copy_(torch.from_numpy(value_of(name, t.shape)))
        write(network, {"network": spec, "input": shape_json(input), "outputs": OUTPUTS, "meta": {"logits": evaluate(network, input)}}, weights)


def evaluate(network, input):
    network.eval()
    with torch.no_grad():
        return rounded(network.double()(torch.from_numpy(samples(2, input)).double()), 9)


def write(network, description, path):
    state = {name: t.float() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    save_file(state, path, metadata={"sndpipe": json.dumps(description, sort_keys=True)})


def roundtrip(path, to):
    with safe_open(path, "pt") as file:
        description = json.loads(file.metadata()["sndpipe"])
        state = {name: file.get_tensor(name) for name in file.keys()}
    input = tuple(description["input"][axis] for axis in ("channels", "frames", "bands"))
    network = build(description["network"], input, description["outputs"])
    counters = {name: t for name, t in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict({**counters, **state}, strict=True)
    if to:
        write(network, description, to)
    print(json.dumps(evaluate(network, input)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="nn/tests/networks.json")
    parser.add_argument("--weights", default="nn/tests/networks.safetensors")
    parser.add_argument("--only", help="one network, nothing is written")
    parser.add_argument("--roundtrip", metavar="FILE")
    parser.add_argument("--to", metavar="FILE")
    options = parser.parse_args()
    if options.roundtrip:
        roundtrip(options.roundtrip, options.to)
    else:
        fixture(options.out, options.weights, options.only)
