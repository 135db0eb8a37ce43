"""The options of a training: one frozen dataclass, which a checkpoint stores as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from asr.errors import UsageError

Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["constant", "exponential", "cosine"]
Precision = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train; every default of a training is here.

    Attributes:
        epochs: times through the data. Ignored where ``steps`` is given.
        steps: optimizer steps, 0 = by epochs.
        optimizer: AdamW, or SGD with momentum.
        learning_rate: at the beginning (after the warm-up).
        final_learning_rate: at the end.
        schedule: "exponential" as Kaldi's (its effective rate falls by the same factor in every
            step), "cosine" or "constant".
        warmup_steps: steps in which the rate grows linearly from 0.
        momentum: of SGD; AdamW's first beta.
        weight_decay: decoupled (AdamW), or L2 added to the gradient (SGD); on matrices only.
        clip_norm: the gradient of a step is scaled down to this norm; 0 = never.
        accumulate: batches per step.
        precision: arithmetic of the network; the half precisions need a GPU.
        ema: decay of an exponential moving average of the weights, such as 0.999, which is then
            what is evaluated and exported; 0 = none.
        average_last: the exported weights are the mean of those of the last so many checkpoints;
            0 or 1 = no averaging.
        rates: (prefix of a parameter's name, factor on the learning rate); the longest prefix
            counts; 0 freezes.
        dropout: schedule in Kaldi's notation, ``"0,0@0.2,0.5@0.5,0"``: proportions at fractions of
            the training, linear in between; empty = the network's own, constant.
        constrain_every: steps between semi-orthogonal updates of a factorised network (Kaldi: a
            step in four).
        sync_batch_norm: statistics of batch norm over the batches of all processes (every process
            must then run the network once for each batch).
        max_frames: padded feature frames of a batch, for whoever makes the batches.
        seed: of shuffling and of dropout.
        log_every: steps between lines of metrics.
        evaluate_every: steps between evaluations on the dev sets; 0 = after each epoch.
        checkpoint_every: steps between checkpoints; 0 = after each epoch.
        keep_checkpoints: how many of the last to keep; at least 2, so that one can be damaged.
        max_bad_steps: steps in a row with a loss or gradient that is not finite before the
            training stops; each is skipped.
        watch: metric ``set/name`` by which the best weights are kept (``dev/loss``); empty = the
            last weights are exported.
        watch_for: whether a better metric is smaller or larger.
        patience: evaluations without a better one before the training stops early; 0 = never.
        guard: metric of a second corpus that must not get worse, against forgetting; weights
            are never kept as the best where it has.
        guard_for: whether a better guarded metric is smaller or larger.
        guard_tolerance: how much worse than before the training, as a fraction of that.
        stop_at_guard: stop as soon as the guard is broken so many evaluations in a row; 0 = never.
    """

    epochs: int = 4
    steps: int = 0
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-4
    schedule: Schedule = "exponential"
    warmup_steps: int = 0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    accumulate: int = 1
    precision: Precision = "float32"
    ema: float = 0.0
    average_last: int = 0
    rates: tuple[tuple[str, float], ...] = ()
    dropout: str = ""
    constrain_every: int = 4
    sync_batch_norm: bool = False
    max_frames: int = 8000
    seed: int = 0
    log_every: int = 10
    evaluate_every: int = 0
    checkpoint_every: int = 0
    keep_checkpoints: int = 2
    max_bad_steps: int = 10
    watch: str = ""
    watch_for: Literal["min", "max"] = "min"
    patience: int = 0
    guard: str = ""
    guard_for: Literal["min", "max"] = "min"
    guard_tolerance: float = 0.05
    stop_at_guard: int = 0

    def __post_init__(self) -> None:
        _check(self)

    def to_json(self) -> dict[str, Any]:
        """All options."""
        return {**asdict(self), "rates": [list(pair) for pair in self.rates]}

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> TrainConfig:
        """Inverse of :meth:`to_json`; options that are absent have their defaults.

        Raises:
            UsageError: an unknown option or an impossible value.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(options) - known)
        if unknown:
            raise UsageError(
                f"there is no training option {unknown[0]!r}; there are {', '.join(sorted(known))}"
            )
        values = dict(options)
        try:
            values["rates"] = tuple((str(p), float(f)) for p, f in options.get("rates", ()))
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise UsageError(f"the training options cannot be understood: {error}") from None


def _check(config: TrainConfig) -> None:
    choices = {"optimizer": Optimizer, "schedule": Schedule, "precision": Precision}
    for name, allowed in choices.items():
        if getattr(config, name) not in get_args(allowed):
            raise UsageError(
                f"{name} is {getattr(config, name)!r}; choose one of {', '.join(get_args(allowed))}"
            )
    for name in ("watch_for", "guard_for"):
        if getattr(config, name) not in ("min", "max"):
            raise UsageError(f"{name} is {getattr(config, name)!r}; choose min or max")
    if config.guard and not config.watch:
        raise UsageError("guard says which of the watched weights may be kept: give watch, too")
    for name in ("learning_rate", "final_learning_rate"):
        if not getattr(config, name) > 0:
            raise UsageError(f"{name} is {getattr(config, name)}; it must be above 0")
    smallest = {
        "epochs": 1, "steps": 0, "warmup_steps": 0, "weight_decay": 0, "clip_norm": 0,
        "accumulate": 1, "average_last": 0, "constrain_every": 1, "max_frames": 1, "log_every": 1,
        "evaluate_every": 0, "checkpoint_every": 0, "keep_checkpoints": 2, "max_bad_steps": 1,
        "patience": 0, "guard_tolerance": 0, "stop_at_guard": 0, "momentum": 0, "ema": 0, "seed": 0,
    }  # fmt: skip
    for name, least in smallest.items():
        if not getattr(config, name) >= least:
            raise UsageError(f"{name} is {getattr(config, name)}; it must be at least {least}")
    for name in ("momentum", "ema"):
        if getattr(config, name) >= 1:
            raise UsageError(f"{name} is {getattr(config, name)}; it must be below 1")
