"""What a model card says about the training, in Markdown."""

from collections.abc import Iterator

from harness.release.card.data import Card
from harness.render.markdown import bullets
from harness.render.numbers import count, duration, number, quantity, size
from harness.schema import TrainingRun
from harness.suite.peft_types import method_words
from harness.suite.record import suite_of
from harness.suite.spec import LoraSpec, TrainSpec


def training(card: Card) -> Iterator[str]:
    """What the weights came of."""
    yield "## Training"
    run = card.training
    if run is None:
        yield "Trained elsewhere: this run took the weights as they were, and knows no more of it."
        return
    spec = suite_of(card.manifest).trainings.get(card.variant.training)
    lines = [_method(run, spec), *_steps(card, run, spec), _rows(card, run)]
    lines.append(_effort(run))
    if run.stopped_early:
        lines.append(f"Stopped early: {run.stopped_early}")
    lines += run.notes
    yield bullets(filter(None, lines))


def _method(run: TrainingRun, spec: TrainSpec | None) -> str:
    share = f"{run.trainable_parameters:,} of {run.total_parameters:,} parameters trained"
    if run.method == "full":
        return f"Full fine-tuning: {share}."
    is_lora = run.peft_type in (None, "LORA")
    method = _capital(method_words(run.method.replace("qlora", "lora"), run.peft_type))
    method = "QLoRA" if run.method == "qlora" and is_lora else method
    if spec is None:  # a record that does not say how
        return f"{method}; {share}."
    if run.method == "qlora":
        double = ", double quantization" if spec.quantization.bnb_4bit_use_double_quant else ""
        method += f" on an {spec.quantization.bnb_4bit_quant_type} base{double}"
    options = _lora(spec.lora) if is_lora else [f"{k} {v}" for k, v in sorted(spec.peft.items())]
    return "; ".join(filter(None, [method, ", ".join(filter(None, options)), share])) + "."


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _lora(lora: LoraSpec) -> list[str]:
    return [
        f"rank {lora.r}",
        f"alpha {lora.lora_alpha}",
        f"dropout {lora.lora_dropout:g}" if lora.lora_dropout else "",
        f"on {_targets(lora.target_modules)}" if lora.target_modules else "",
    ]


def _targets(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _steps(card: Card, run: TrainingRun, spec: TrainSpec | None) -> Iterator[str]:
    args = {**(spec.args if spec else {}), **run.arguments}
    step = card.variant.step
    parts = [f"Step {step} of {run.steps}" if step is not None else f"{run.steps} steps"]
    entry = next((e for e in run.log if e.step == step and e.epoch is not None), None)
    if entry is not None and entry.epoch is not None:
        parts.append(f"{number(entry.epoch)} epochs")
    rate = args.get("learning_rate")
    if isinstance(rate, int | float):
        scheduler = args.get("lr_scheduler_type")
        parts.append(f"learning rate {rate:g}" + (f" ({scheduler})" if scheduler else ""))
    batch = args.get("per_device_train_batch_size")
    if batch is not None:
        times = args.get("gradient_accumulation_steps", 1)
        parts.append(f"batch size {batch}" + (f" × {times}" if times != 1 else ""))
    yield "; ".join(parts) + "."
    checkpoint = next((c for c in run.checkpoints if c.step == step), None)
    if checkpoint is not None and checkpoint.eval_loss is not None:
        loss = number(checkpoint.eval_loss, 3)
        yield f"Eval loss of the trainer at this step, a mean over batches: {loss}."


def _rows(card: Card, run: TrainingRun) -> str:
    data = card.training_data
    name = f" of {data.name}" if data is not None else ""
    revision = f" at revision {data.revision}" if data is not None and data.revision else ""
    dropped = sum(run.rows_dropped.values())
    reasons = "; ".join(f"{reason}: {n:,}" for reason, n in sorted(run.rows_dropped.items()))
    report = card.manifest.data.get("train")
    before = sum(report.dropped.values()) if report else 0
    return (
        f"{count(run.rows_used, 'row')}{name}{revision} used, {dropped:,} dropped"
        + (f" ({reasons})" if reasons else "")
        + f", {run.rows_truncated:,} truncated"
        + (
            f"; before that, {before:,} of {report.rows_read:,} rows read were dropped, each for "
            "a reason that the report counts"
            if report and before
            else ""
        )
        + "."
    )


def _effort(run: TrainingRun) -> str:
    speed = f", {quantity(run.tokens_per_second, 'tok/s')}" if run.tokens_per_second else ""
    memory = f", {size(run.peak_memory_bytes)} at most" if run.peak_memory_bytes else ""
    device = run.environment.device_name
    return f"{duration(run.seconds)} on {device}{speed}{memory}."
