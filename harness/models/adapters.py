"""Many adapters over one base: loaded beside each other, switched, and never mistaken for it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from harness.errors import ModelError
from harness.models import mixed
from harness.models.identity import AdapterInfo, check_adapter
from harness.models.quiet import quiet
from harness.models.tokens import encode_prompt

# Ways of starting an adapter that leave the base's weights alone, by PEFT's source. The others
# (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) subtract from them.
BASE_KEEPING_INITS = (True, False, None, "gaussian", "orthogonal", "mica", "eva")


def base_of(model: Any) -> Any:
    """The base under PEFT's adapters; a model without any is its own."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def forward_arguments(model: Any) -> Set[str]:
    """Names of what a model's forward pass takes, such as ``position_ids``; adapters hide them."""
    return inspect.signature(base_of(model).forward).parameters.keys()


class AdapterSet:
    """A base model and the adapters loaded over it.

    The first adapter wraps the base's layers in place, and they stay wrapped until the last one is
    removed: the plain base is what runs while adapters are disabled, as ``active(None)`` does.

    Args:
        model: The base, as ``load_base`` gives it.
    """

    def __init__(self, model: Any) -> None:
        self._base = model
        self._peft: Any = None
        self._keys: dict[str, str] = {}  # ours -> PEFT's, which may hold no dots and not "lora"
        self._added = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the loaded adapters, in the order of loading."""
        return tuple(self._keys)

    def add(self, name: str, path: Path) -> AdapterInfo:
        """Load an adapter over the base, in the base's compute dtype.

        Args:
            name: What to call it, such as the variant's id.
            path: Its folder.

        Raises:
            ModelError: It is not a safetensors adapter, or does not fit the base: modules or
                shapes differ, or it holds weights that have no place.
        """
        info = check_adapter(path)
        if name in self._keys:
            raise ModelError(f"An adapter {name!r} is already loaded.", where=str(path))
        self._added += 1
        key = f"adapter{self._added}"
        config = self._config(path)
        try:
            self._inject(key, config)
            self._fill(key, path, info)
        except (torch.OutOfMemoryError, ModelError):  # the former may well fit the base
            self._discard(key)
            raise
        except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
            self._discard(key)
            raise _misfit(info, str(error)) from error
        self._keys[name] = key
        return info

    def remove(self, name: str) -> None:
        """Drop an adapter and free its memory."""
        self._discard(self._keys.pop(name))

    @contextmanager
    def active(self, name: str | None) -> Iterator[Any]:
        """Yield the model with one adapter acting, or with none for the plain base."""
        if name is None and self._peft is None:
            yield self._base
            return
        if name is None:
            with self._peft.disable_adapter():
                yield self._peft
            return
        if name not in self._keys:
            raise ModelError(f"No adapter {name!r} is loaded; there are: {list(self._keys)}.")
        self._peft.set_adapter(self._keys[name], inference_mode=True)
        yield self._peft

    def effect(self, name: str, tokenizer: Any, prompts: Sequence[str], *, chat: bool) -> float:
        """Largest change an adapter makes to any logit of a few prompts; 0 means it does nothing.

        An adapter without effect is usually one whose weights were never loaded, which would
        otherwise be scored as if it were the base.

        Args:
            name: The adapter.
            tokenizer: The base's tokenizer.
            prompts: At least one rendered prompt; each is run alone.
            chat: Whether the chat template rendered them.

        Returns:
            max |logit with adapter - logit of the base|, over all tokens of all prompts.
        """
        largest = 0.0
        for prompt in prompts:
            ids = torch.tensor([encode_prompt(tokenizer, prompt, chat=chat)])
            logits = []
            for variant in (None, name):
                with torch.inference_mode(), self.active(variant) as model:
                    ids = ids.to(model.device)
                    logits.append(model(input_ids=ids, use_cache=False).logits.float())
            largest = max(largest, float((logits[1] - logits[0]).abs().max()))
        return largest

    def why_not_mixed(self, names: Sequence[str | None]) -> str | None:
        """Why these variants (None is the base) cannot share a batch, or None where they can."""
        if self._peft is None:
            return "no adapter is loaded"
        return mixed.why_not(self._peft, [self._keys[name] for name in names if name is not None])

    @contextmanager
    def mixed(self, names: Sequence[str | None]) -> Iterator[mixed.Mixture]:
        """Let variants (None is the base) share batches, each row answered by its own.

        Raises:
            ModelError: They cannot, by ``why_not_mixed``.
        """
        reason = self.why_not_mixed(names)
        if reason is not None:
            raise ModelError(f"These adapters cannot be mixed in one batch: {reason}.")
        keys = {name: None if name is None else self._keys[name] for name in names}
        with mixed.mixing(self._peft, keys) as mixture:
            yield mixture

    def _config(self, path: Path) -> Any:
        from peft import PeftConfig

        try:
            config = PeftConfig.from_pretrained(str(path))
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"PEFT cannot read the adapter's configuration: {error}",
                where=str(path),
                hint="It may come from a newer PEFT; upgrade peft.",
            ) from error
        if config.is_prompt_learning or config.is_adaption_prompt:
            raise ModelError(
                f"Adapters of type {config.peft_type.value} add virtual tokens, and the engines "
                "score adapters that change weights only (LoRA and its kin).",
                where=str(path),
            )
        # all share the base: none may come with changes to its own weights
        init = getattr(config, "init_lora_weights", True)
        bias = getattr(config, "bias", "none")
        if init not in BASE_KEEPING_INITS:
            raise ModelError(
                f"It was started with init_lora_weights: {init!r}, which changes the base's own "
                "weights, and all adapters are evaluated over one base.",
                where=str(path),
                hint="Save it with PEFT's path_initial_model_for_weight_conversion, or merge it "
                "and evaluate the merged model as a base.",
            )
        if bias != "none":
            raise ModelError(
                f"It holds biases of the base (bias: {bias!r}), which would change the base for "
                "the other adapters as well.",
                where=str(path),
                hint="Merge it and evaluate the merged model as a base.",
            )
        config.inference_mode = True
        config.base_model_name_or_path = None  # compared in check_adapter; PEFT would only warn
        return config

    def _inject(self, key: str, config: Any) -> None:
        from peft import get_peft_model

        quiet()
        with warnings.catch_warnings():
            # GPT-2's transposed layers are plain ones after quantization; PEFT adapts and says so
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
            if self._peft is None:
                self._peft = get_peft_model(
                    self._base, config, adapter_name=key, autocast_adapter_dtype=False
                )
            else:
                self._peft.add_adapter(key, config, autocast_adapter_dtype=False)
        self._peft.eval()

    def _fill(self, key: str, path: Path, info: AdapterInfo) -> None:
        """Put the stored weights into the injected layers; every one of them must have a place."""
        from peft import set_peft_model_state_dict
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        file = path / "adapter_model.safetensors"
        try:
            weights = load_file(file, device=str(self._base.device))
        except SafetensorError as error:
            raise ModelError(
                f"The adapter's weights cannot be read: {error}.",
                where=str(file),
                hint="The file may be cut off; copy it again.",
            ) from error
        outcome = set_peft_model_state_dict(self._peft, weights, adapter_name=key)
        ours = [name for name, _ in self._peft.named_parameters() if f".{key}." in f"{name}."]
        missing = set(ours) & set(outcome.missing_keys)
        if missing or outcome.unexpected_keys:
            raise _misfit(
                info,
                f"{len(missing)} of its layers have no stored weights and "
                f"{len(outcome.unexpected_keys)} stored weights have no layer, such as "
                f"{sorted([*missing, *outcome.unexpected_keys])[0]}",
            )
        parameters = dict(self._peft.named_parameters())
        for name in ours:
            parameters[name].data = parameters[name].data.to(self._base.dtype)
            parameters[name].requires_grad_(False)

    def _discard(self, key: str) -> None:
        """Take an adapter off again; without any left, the base's own layers come back."""
        if self._peft is None or key not in self._peft.peft_config:
            return
        if len(self._peft.peft_config) == 1:
            self._base, self._peft = self._peft.unload(), None
            return
        self._peft.delete_adapter(key)
        self._peft.set_adapter(next(iter(self._peft.peft_config)), inference_mode=True)


def _misfit(info: AdapterInfo, reason: str) -> ModelError:
    trained_on = info.base_model_name or "an unnamed base"
    return ModelError(
        f"The adapter does not fit this base: {' '.join(reason.split())[:400]}.",
        where=str(info.path),
        hint=f"It was trained on {trained_on!r}; evaluate it on that base.",
    )
