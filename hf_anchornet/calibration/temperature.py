"""Calibrate a classifier by temperature scaling (Guo et al. 2017)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from hf_anchornet.metrics.expected_calibration_error import ExpectedCalibrationError
from hf_anchornet.model.cascade_rule import ExitRule, name_stage
from hf_anchornet.model.cascade_trace import Trace

TEMPERATURES = (0.05, 20.0)
"""Bounds of a temperature; it would be 0 for answers that are all right."""


def fit_temperatures(traces: Sequence[Trace], targets: Tensor) -> list[float]:
    """The temperature of the model that answers at each stage; all inputs reached all stages."""
    return [
        fit_temperature(logits, wanted) if len(wanted) else 1.0
        for logits, wanted in _gather_answers(traces, targets)
    ]


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The divisor of logits that maximises the likelihood of the targets (section 4.2).

    Args:
        logits: (inputs, labels).
        targets: (inputs,), int64.
    """
    logits = logits.double()
    bounds = np.log(TEMPERATURES)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        scaled = logits / log_temperature.clamp(*bounds).exp()
        value = torch.nn.functional.cross_entropy(scaled, targets)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return float(log_temperature.detach().clamp(*bounds).exp())


def measure_calibration_error(probs: Tensor, targets: Tensor) -> float:
    """Expected calibration error, in [0, 1].

    Args:
        probs: (inputs, labels).
        targets: (inputs,), int64.
    """
    found = ExpectedCalibrationError(keep_in_memory=True).compute(
        predictions=probs.double().numpy(), references=targets.numpy()
    )
    return float(found["expected_calibration_error"])


def compare_calibration(
    traces: Sequence[Trace], targets: Tensor, rule: ExitRule
) -> dict[str, dict[str, float]]:
    """Calibration error of each model at its stages, before and after temperature scaling."""
    models = zip(rule.stages, _gather_answers(traces, targets), rule.temperatures, strict=True)
    return {
        name_stage(stage): {
            "temperature": temperature,
            "before": measure_calibration_error(logits.softmax(dim=-1), wanted),
            "after": measure_calibration_error((logits / temperature).softmax(dim=-1), wanted),
        }
        for stage, (logits, wanted), temperature in models
        if len(wanted)
    }


def _gather_answers(traces: Sequence[Trace], targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For each stage the logits, (inputs, labels), and targets of the inputs with an answer."""
    for opening in zip(*(trace.opened for trace in traces), strict=True):
        yield torch.stack([answer.logits for answer in opening]), targets
    for stage in range(len(traces[0].readings)):
        rows = [row for row, trace in enumerate(traces) if trace.readings[stage]]
        logits = [traces[row].average(traces[row].readings[stage]) for row in rows]
        yield torch.stack(logits) if rows else torch.zeros(0, 0), targets[rows]
