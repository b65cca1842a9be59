"""Calibrate a classifier by temperature scaling (Guo et al. 2017)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hf_anchornet.metrics.expected_calibration_error import ExpectedCalibrationError
from hf_anchornet.model.cascade_rule import ExitRule
from hf_anchornet.model.cascade_trace import Trace

TEMPERATURES = (0.05, 20.0)
"""Bounds of a temperature; it would be 0 for answers that are all right."""


def fit_temperatures(traces: Sequence[Trace], targets: Tensor) -> list[float]:
    """The temperature of the localizer, followed by that of the classifier at each stage."""
    temperatures = [fit_temperature(torch.stack([trace.logits for trace in traces]), targets)]
    for stage in range(len(traces[0].readings)):
        logits, wanted = _gather_readings(traces, targets, stage)
        temperatures.append(fit_temperature(logits, wanted) if len(wanted) else 1.0)
    return temperatures


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
    logits = torch.stack([trace.logits for trace in traces])
    models = {"localizer": (logits, targets)}
    for stage, what in enumerate(rule.stages):
        models[f"classifier on {what}"] = _gather_readings(traces, targets, stage)
    return {
        name: {
            "temperature": temperature,
            "before": measure_calibration_error(logits.softmax(dim=-1), wanted),
            "after": measure_calibration_error((logits / temperature).softmax(dim=-1), wanted),
        }
        for (name, (logits, wanted)), temperature in zip(
            models.items(), rule.temperatures, strict=True
        )
        if len(wanted)
    }


def _gather_readings(traces: Sequence[Trace], targets: Tensor, stage: int) -> tuple[Tensor, Tensor]:
    """Logits, (inputs, labels), and targets of the inputs that have a reading at a stage."""
    rows = [row for row, trace in enumerate(traces) if trace.readings[stage]]
    if not rows:
        return torch.zeros(0, len(traces[0].logits)), targets[:0]
    logits = [traces[row].average(traces[row].readings[stage]) for row in rows]
    return torch.stack(logits), targets[rows]
