"""NumPy, PyTorch or scikit-learn as a peer (first argument), one thread; protocol and data as in peer.ts and workloads.ts."""
import importlib
import json
import sys
import time

import numpy as np

RATE, BATCHES = 0.001, 10
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def data_of(w):
    rows, width, units = w["batch"] * BATCHES, w["sizes"][0], w["sizes"][-1]
    x = np.sin(np.arange(rows * width) * 12.9898).astype(np.float32).reshape(rows, width)
    y = np.zeros((rows, units), np.float32)
    y[np.arange(rows), (np.arange(rows) * 7) % units if units > 1 else 0] = 1 if units > 1 else np.arange(rows) % 2
    return x, y


def numpy_steps(w):
    rng = np.random.default_rng(1)
    x, y = data_of(w)
    sizes, batch, rows = w["sizes"], w["batch"], len(x)
    params = []
    for fan_in, units in zip(sizes, sizes[1:]):
        params += [rng.uniform(-0.1, 0.1, (fan_in, units)).astype(np.float32), np.zeros(units, np.float32)]
    means, squares = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    state = {"at": 0, "t": 0}

    def predict():
        a = x[:batch]
        for layer in range(0, len(params), 2):
            z = a @ params[layer] + params[layer + 1]
            a = np.maximum(z, 0)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    if w["task"] == "predict":
        return predict

    def step():
        order = np.arange(state["at"], state["at"] + batch)
        state["at"] = (state["at"] + batch) % rows
        a, target = [x[order]], y[order]
        for layer in range(0, len(params), 2):
            z = a[-1] @ params[layer]
            z += params[layer + 1]
            if layer < len(params) - 2:
                a.append(np.maximum(z, 0) if w["hidden"] == "relu" else np.tanh(z))
        if w["output"] == "softmax":
            z -= z.max(axis=1, keepdims=True)
            e = np.exp(z)
            total = e.sum(axis=1, keepdims=True)
            float((np.log(total) * target - target * z).sum() / batch)
            delta = (e / total - target) / np.float32(batch)
        else:
            p = 1 / (1 + np.exp(-z))
            delta = (p - target) / np.float32(batch)
            if w["loss"] == "mean_squared_error":
                float(((p - target) ** 2).mean())
                delta = 2 * delta * p * (1 - p)
            else:
                float((np.maximum(z, 0) - z * target + np.log1p(np.exp(-np.abs(z)))).mean())
        gradients = [None] * len(params)
        for layer in range(len(params) - 2, -1, -2):
            gradients[layer], gradients[layer + 1] = a[layer // 2].T @ delta, delta.sum(axis=0)
            if layer > 0:
                below = a[layer // 2]
                delta = delta @ params[layer].T
                delta = delta * (below > 0) if w["hidden"] == "relu" else delta * (1 - below * below)
        update(gradients)

    def update(gradients):
        if w["optimizer"] == "sgd":
            for p, g in zip(params, gradients):
                p -= np.float32(RATE) * g
            return
        state["t"] += 1
        rate, root = RATE / (1 - BETA1 ** state["t"]), 1 / np.sqrt(1 - BETA2 ** state["t"])
        for p, g, m, v in zip(params, gradients, means, squares):
            m *= np.float32(BETA1)
            m += np.float32(1 - BETA1) * g
            v *= np.float32(BETA2)
            v += np.float32(1 - BETA2) * g * g
            p -= np.float32(rate) * m / (np.sqrt(v) * np.float32(root) + np.float32(EPSILON))

    return step


def torch_steps(w):
    import torch
    import torch.nn.functional as functional

    torch.set_num_threads(1)
    x, y = (torch.from_numpy(values) for values in data_of(w))
    sizes, batch, rows = w["sizes"], w["batch"], len(x)
    layers = []
    for index, (fan_in, units) in enumerate(zip(sizes, sizes[1:])):
        layers.append(torch.nn.Linear(fan_in, units))
        if index < len(sizes) - 2:
            layers.append(torch.nn.ReLU() if w["hidden"] == "relu" else torch.nn.Tanh())
    net = torch.nn.Sequential(*layers)
    optimizer = (torch.optim.SGD if w["optimizer"] == "sgd" else torch.optim.Adam)(net.parameters(), lr=RATE)
    labels = y.argmax(dim=1)
    if w["task"] == "predict":
        traced = torch.jit.freeze(torch.jit.trace(torch.nn.Sequential(net, torch.nn.Softmax(dim=1)).eval(), x[:batch]))

        def predict():
            with torch.inference_mode():
                traced(x[:batch])

        return predict
    state = {"at": 0}

    def step():
        start = state["at"]
        state["at"] = (start + batch) % rows
        z, target = net(x[start : start + batch]), y[start : start + batch]
        if w["output"] == "softmax":
            loss = functional.cross_entropy(z, labels[start : start + batch])
        elif w["loss"] == "mean_squared_error":
            loss = functional.mse_loss(torch.sigmoid(z), target)
        else:
            loss = functional.binary_cross_entropy_with_logits(z, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def sklearn_steps(w):
    """Its classifier has the softmax or sigmoid output and the log loss of the workloads; there is no other for W1."""
    from sklearn.neural_network import MLPClassifier

    if w["loss"] == "mean_squared_error":
        return None
    x, y = data_of(w)
    labels = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(int)
    batch, classes = w["batch"], np.unique(labels)
    net = MLPClassifier(
        w["sizes"][1:-1],
        activation=w["hidden"],
        solver=w["optimizer"],
        learning_rate_init=RATE,
        batch_size=batch,
        momentum=0,
        alpha=0,
        shuffle=False,
    )
    net.partial_fit(x, labels, classes)
    if w["task"] == "predict":
        return lambda: net.predict_proba(x[:batch])

    def step():
        net.partial_fit(x, labels)

    step.count = BATCHES  # one pass over the rows
    return step


def measure(step, seconds):
    end, count, least = time.perf_counter() + seconds, 1, float("inf")
    while True:
        start = time.perf_counter()
        for _ in range(count):
            step()
        took = time.perf_counter() - start
        if took >= 0.005:
            least = min(least, took / count / getattr(step, "count", 1))
        if time.perf_counter() >= end and least < float("inf"):
            return least
        if took < 0.01:
            count = int(count * min(10, 0.015 / max(took, 0.0005))) + 1


def main():
    prepare = {"numpy": numpy_steps, "torch": torch_steps, "sklearn": sklearn_steps}[sys.argv[1]]
    note = importlib.import_module(sys.argv[1]).__version__
    prepared = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request["workload"]
        if name not in prepared:
            prepared[name] = prepare(request["definition"])
        step = prepared[name]
        answer = {"seconds_per_step": step and measure(step, request["seconds"]), "note": note}
        print(json.dumps(answer), flush=True)


main()
