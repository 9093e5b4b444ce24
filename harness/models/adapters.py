"""Many adapters over one base: loaded beside each other, switched, and never mistaken for it."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from harness.errors import ApartError, ModelError, in_a_line
from harness.models import mixed, peft_load
from harness.models.causality import Causality
from harness.models.identity import AdapterInfo, check_adapter
from harness.models.precision import computing_dtype
from harness.models.tokens import encode_prompt
from harness.models.vocabulary import embedding_rows, require_embeddings

_TOKENS = 32  # of the sequence by which answers are compared
_KEPT = 4  # of its last tokens, whose logits are kept; they depend on all before them


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

    That neither the base nor an adapter answers otherwise because of its neighbours is measured:
    by logits that are kept when each is loaded, and by whether loading wrote into the base.

    Args:
        model: The base, as ``load_base`` gives it.
    """

    def __init__(self, model: Any) -> None:
        self._base = model
        self._own = dict(model.named_parameters(remove_duplicate=False))  # tied: under each name
        self._peft: Any = None
        self._keys: dict[str, str] = {}  # ours -> PEFT's, which may hold no dots and not "lora"
        self._unknown: dict[str, tuple[str, ...]] = {}
        self._added = 0
        self._answers: dict[str | None, torch.Tensor] = {}  # as they were when it was loaded
        self._causality: dict[str | None, Causality] = {}
        self._noise = 0.0  # of the base's own answers, from one pass to the next
        self._spoiled = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the loaded adapters, in the order of loading."""
        return tuple(self._keys)

    def add(self, name: str, path: Path, *, alone: bool = False) -> AdapterInfo:
        """Load an adapter over the base as PEFT does, in the base's compute dtype.

        Args:
            name: What to call it, such as the variant's id.
            path: Its folder.
            alone: Whether it has the base to itself, and may change it.

        Raises:
            ApartError: It changes the base, or cannot stand beside the others; it may load alone.
            ModelError: It is no safetensors adapter, PEFT cannot load it, weights of it are
                missing or have no place, or it would overwrite what adapters do not hold.
        """
        info = check_adapter(path)
        if name in self._keys:
            raise ModelError(f"An adapter {name!r} is already loaded.", where=str(path))
        config, unknown = peft_load.read_config(path)
        if not alone:
            if config.is_prompt_learning or config.is_adaption_prompt:
                kind = config.peft_type.value
                raise ApartError(f"PEFT keeps adapters of type {kind} apart.", where=str(path))
            if None not in self._answers:
                self._answers[None] = self._answer(None)
                self._noise = 2 * self.change(None)
        self._added += 1
        key = f"adapter{self._added:03d}"
        written = self._load(key, config, info, alone=alone)
        self._keys[name], self._unknown[name] = key, unknown
        try:
            if not alone:
                self._check_base_stays(path, written)
            self._answers[name] = self._answer(name)
        except torch.OutOfMemoryError:
            raise
        except ModelError:
            self.remove(name)
            raise
        except Exception as error:  # kinds that ask for more than tokens
            self.remove(name)
            raise self._failure(info, error, alone=alone) from error
        return info

    def remove(self, name: str) -> None:
        """Drop an adapter and free its memory."""
        self._answers.pop(name, None)
        self._causality.pop(name, None)
        self._discard(self._keys.pop(name))

    def unknown_options(self, name: str) -> tuple[str, ...]:
        """Options of an adapter's configuration that the installed PEFT drops."""
        return self._unknown[name]

    def change(self, name: str | None) -> float:
        """Largest change of a logit of a variant since it was loaded; None is the base.

        0 means equal to the last bit. It is infinite where weights of the base were overwritten,
        or an adapter that failed could not be taken off again.
        """
        if self._spoiled:
            return math.inf
        before = self._answers.get(name)
        change = 0.0 if before is None else _distance(self._answer(name), before)
        return change if change > self._noise else 0.0

    @contextmanager
    def active(self, name: str | None) -> Iterator[Any]:
        """Yield the model with one adapter acting, or with none for the plain base."""
        if name is None and self._peft is None:
            yield self._base
            return
        if name is None:
            with ExitStack() as off:
                with warnings.catch_warnings():  # of biases that stay; the base's change shows it
                    warnings.simplefilter("ignore")
                    off.enter_context(self._peft.disable_adapter())
                yield self._peft
            return
        if name not in self._keys:
            raise ModelError(f"No adapter {name!r} is loaded; there are: {list(self._keys)}.")
        key = self._keys[name]
        if not self._peft.peft_config[key].is_adaption_prompt:  # those PEFT cannot switch so
            self._peft.set_adapter(key, inference_mode=True)
        yield self._peft

    def effect(self, name: str, tokenizer: Any, prompts: Sequence[str], *, chat: bool) -> float:
        """Largest change an adapter makes to any logit of a few prompts; 0 means it does nothing.

        An adapter without effect is usually one whose weights were never loaded, which would
        otherwise be scored as if it were the base. Tokens that its configuration names are tried
        as well, for it may act after them only.

        Args:
            name: The adapter.
            tokenizer: The base's tokenizer.
            prompts: Rendered prompts; each is run alone.
            chat: Whether the chat template rendered them.

        Returns:
            max |logit with adapter - logit of the base|, over all tokens of all prompts.
        """
        encoded = [encode_prompt(tokenizer, prompt, chat=chat) for prompt in prompts]
        require_embeddings(self._base, tokenizer, encoded)
        return max(
            _distance(self._logits(name, ids), self._logits(None, ids))
            for ids in [*encoded, *self._sequences(name)]
        )

    def causality(self, name: str | None) -> Causality:
        """Whether a variant's losses see what comes after; tried once, when it is asked."""
        if name not in self._causality:
            self._causality[name] = Causality(
                lambda *rows: self._logits(name, *rows),
                self._sequences(name),
                vocabulary=embedding_rows(self._base),
                dtype=computing_dtype(self._base),
                base=None if name is None else self.causality(None),
            )
        return self._causality[name]

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

    def _load(self, key: str, config: Any, info: AdapterInfo, *, alone: bool) -> list[str]:
        """Have PEFT load an adapter, or take it off again; which weights of the base it changed."""
        before = {name: weight._version for name, weight in self._own.items()}
        try:
            copies = peft_load.weights_in_file(info, self._own)
            self._peft = peft_load.inject(self._base, self._peft, key, config)
            peft_load.fill(self._peft, key, info)
            written = [
                name
                for name, weight in self._own.items()
                if weight._version != before[name]
                and not (id(weight) in copies and torch.equal(copies[id(weight)], weight))
            ]
            self._check_written(config, info, written)
        except (torch.OutOfMemoryError, ModelError):  # the former may well fit the base
            self._discard(key)
            raise
        except Exception as error:  # whatever PEFT raises, it is of this adapter
            self._discard(key)
            raise self._failure(info, error, alone=alone) from error
        return written

    def _failure(self, info: AdapterInfo, error: Exception, *, alone: bool) -> ModelError:
        """What PEFT raised for an adapter: without the others it may not."""
        if alone or not self._keys or peft_load.is_misfit(error):
            return peft_load.refusal(info, error)
        told = f"PEFT does not run it beside the others: {in_a_line(error)}"
        return ApartError(told, where=str(info.path))

    def _check_base_stays(self, path: Path, written: Sequence[str]) -> None:
        """Set an adapter apart that changed the base."""
        self._spoiled = self._spoiled or bool(written)
        change = self.change(None)
        if change:
            names = f" ({peft_load.few(written)})" if written else ""
            told = "overwrites" if written else f"changes answers by up to {change:.2g} of"
            raise ApartError(f"Loading it {told} the base itself{names}.", where=str(path))

    def _check_written(self, config: Any, info: AdapterInfo, written: Sequence[str]) -> None:
        """Refuse an adapter that overwrites what PEFT's own saving never puts into one."""
        holders = (self._base.get_input_embeddings(), self._base.get_output_embeddings())
        known = {id(w) for holder in holders if holder is not None for w in holder.parameters()}
        biases = getattr(config, "bias", "none") != "none"
        foreign = [
            name
            for name in written
            if id(self._own[name]) not in known and not (biases and name.endswith("bias"))
        ]
        if foreign:
            self._spoiled = True
            raise ModelError(
                "It holds weights of the base itself, which it would overwrite: "
                f"{peft_load.few(foreign)}.",
                where=str(info.path / "adapter_model.safetensors"),
                hint="Save the adapter with PEFT's save_pretrained; what was trained in full "
                "belongs into modules_to_save.",
            )

    def _discard(self, key: str) -> None:
        """Take an adapter off again; without any left, the base's own layers come back."""
        if self._peft is None or key not in self._peft.peft_config:
            return
        try:
            if len(self._peft.peft_config) > 1:
                self._peft.delete_adapter(key)
                self._peft.set_adapter(next(iter(self._peft.peft_config)), inference_mode=True)
            else:
                whole = self._peft.get_base_model() if self._is_prompt else self._peft.unload()
                self._base, self._peft = whole, None
        except Exception:  # PEFT cannot undo every kind; whoever asks for changes will see
            self._spoiled = True

    @property
    def _is_prompt(self) -> bool:
        return any(config.is_prompt_learning for config in self._peft.peft_config.values())

    def _answer(self, name: str | None) -> torch.Tensor:
        """Logits of a variant by which it is known again, in fp32 on the CPU."""
        parts = [self._logits(name, ids)[-_KEPT:] for ids in self._sequences(name)]
        return torch.cat(parts).cpu()

    def _sequences(self, name: str | None) -> list[list[int]]:
        """Tokens spread over the vocabulary, and what an adapter's configuration names."""
        vocabulary = embedding_rows(self._base)
        spread = torch.linspace(0, vocabulary - 1, _TOKENS).long().tolist()
        if name is None:
            return [spread]
        config = self._peft.peft_config[self._keys[name]]
        lists = peft_load.token_lists(config, vocabulary)
        return [spread, *([*spread[:4], *ids, *spread[4:8]] for ids in lists)]

    def _logits(self, name: str | None, *rows: Sequence[int]) -> torch.Tensor:
        """Logits of the first of some rows by an ordinary pass, shape (tokens, vocabulary)."""
        with torch.inference_mode(), self.active(name) as model:
            batch = torch.tensor([list(row) for row in rows], device=model.device)
            logits: torch.Tensor = model(input_ids=batch, use_cache=False).logits[0]
            return logits[-len(rows[0]) :].float()  # prompt learning puts tokens in front


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest absolute difference; of two that are both not finite alike it is 0."""
    return float(torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs()).max())
