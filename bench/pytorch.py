"""PyTorch's side of pytorch.mjs: trains a dunlin model that it reads from its file. One argument: the number of threads.

Each line of standard input is a JSON command, each is answered by a line of JSON:
    {"load": model file, "x": file of float32, "labels": file of int32, "batch": n, "rate": learning rate} -> {"format": ...}
    {"steps": n}   from the first weights on: one step that is not timed, then n that are -> {"ms": of one, "losses": [...]}
"""

import json
import os
import sys
import time

import numpy
import torch
import torch.nn.functional as F

FORMATS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}


def read(file):
    """The graph and the tensors of a model file (safetensors)."""
    with open(file, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    graph = json.loads(header.pop("__metadata__")["dunlin"])
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        tensors[name] = torch.from_numpy(numpy.frombuffer(data[start:end], numpy.float32).reshape(entry["shape"]).copy())
    return graph, tensors


class Network:
    """A dunlin graph as a list of calls of torch. Images are NCHW, so filters and the weights after a flatten are turned round."""

    def __init__(self, graph, tensors):
        self.nodes = graph["nodes"]
        self.first = {}
        self.steps = []
        for at, node in enumerate(self.nodes):
            if node["op"] == "param":
                self.first[at] = tensors[node["name"]]
            elif node["op"] != "input":
                self.steps.append((at, node["inputs"], self.call(node)))
        for node in self.nodes:
            if node["op"] == "conv2d":
                self.first[node["inputs"][1]] = self.first[node["inputs"][1]].permute(0, 3, 1, 2).contiguous()
            if node["op"] == "dense":
                before = self.nodes[node["inputs"][0]]
                image = self.nodes[before["inputs"][0]]["shape"] if before["op"] == "reshape" else []
                if len(image) == 3:
                    w = self.first[node["inputs"][1]]
                    turned = w.reshape(-1, *image).permute(0, 3, 1, 2).reshape(w.shape)
                    self.first[node["inputs"][1]] = turned.contiguous()

    def call(self, node):
        attrs = node["attrs"]
        relu = {None: lambda y: y, "relu": F.relu_}[attrs.get("activation")]
        op = node["op"]
        if op == "conv2d":
            stride, padding = attrs["strides"], {"valid": 0}.get(attrs["padding"], attrs["padding"])
            return lambda x, w, b=None: relu(F.conv2d(x, w, b, stride, padding))
        if op == "batchNorm":
            momentum, epsilon = attrs["momentum"], attrs["epsilon"]
            return lambda x, g, b, mean, variance: relu(F.batch_norm(x, mean, variance, g, b, True, momentum, epsilon))
        if op == "maxPool2d":
            return lambda x: F.max_pool2d(x, attrs["kernel"], attrs["strides"])
        if op == "avgPool2d":
            return lambda x: F.avg_pool2d(x, attrs["kernel"], attrs["strides"])
        if op == "reshape":
            return lambda x: x.flatten(1)
        if op == "dense":
            return lambda x, w, b: relu(F.linear(x, w, b))
        if op == "add":
            return lambda x, y: relu(x + y)
        raise ValueError(f"no translation of op {op}")

    def reset(self, rate, form):
        """New parameters with the first values, and a new optimizer."""
        self.values = {}
        for at, first in self.first.items():
            p = first.clone(memory_format=form) if first.dim() == 4 else first.clone()
            self.values[at] = p.requires_grad_(self.nodes[at]["attrs"]["trainable"])
        self.optimizer = torch.optim.Adam([p for p in self.values.values() if p.requires_grad], lr=rate)

    def step(self, x, labels):
        values = dict(self.values)
        values[next(i for i, n in enumerate(self.nodes) if n["op"] == "input")] = x
        self.optimizer.zero_grad(set_to_none=True)
        for at, inputs, call in self.steps:
            values[at] = call(*[values[i] for i in inputs])
        loss = F.cross_entropy(values[at], labels)
        loss.backward()
        self.optimizer.step()
        return loss


class Task:
    def __init__(self, command):
        self.network = Network(*read(command["load"]))
        self.rate = command["rate"]
        shape = next(n["shape"] for n in self.network.nodes if n["op"] == "input")
        x = torch.from_numpy(numpy.fromfile(command["x"], numpy.float32)).reshape(command["batch"], *shape)
        self.x = x.permute(0, 3, 1, 2).contiguous()
        self.labels = torch.from_numpy(numpy.fromfile(command["labels"], numpy.int32)).long()
        # Which of the two layouts of images is faster depends on the network: it gets the better one.
        times = {}
        for self.format in (*FORMATS, *FORMATS):
            times[self.format] = min(times.get(self.format, float("inf")), self.run(3)["ms"])
        self.format = min(times, key=times.get)

    def run(self, steps):
        form = FORMATS[self.format]
        self.network.reset(self.rate, form)
        x = self.x.contiguous(memory_format=form)
        losses = [self.network.step(x, self.labels)]
        began = time.perf_counter()
        for _ in range(steps):
            losses.append(self.network.step(x, self.labels))
        ms = (time.perf_counter() - began) * 1000 / steps
        return {"ms": ms, "losses": [loss.item() for loss in losses]}


def blas():
    """Where its matrix products come from, as far as the loaded libraries tell."""
    with open("/proc/self/maps") as maps:
        files = {line.split()[-1] for line in maps if "blas" in line or "mkl" in line}
    return sorted(os.path.realpath(f) for f in files)


def say(answer):
    print(json.dumps(answer), flush=True)


torch.set_num_threads(int(sys.argv[1]))
say({"version": torch.__version__, "threads": torch.get_num_threads(), "blas": blas() if os.path.exists("/proc/self/maps") else []})
for line in sys.stdin:
    command = json.loads(line)
    if "load" in command:
        task = Task(command)
        say({"format": task.format})
    else:
        say(task.run(command["steps"]))
