"""Which weights are shipped: a checkpoint as it was trained, or a merged form of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast, get_args

from harness.errors import StoreError, UsageError
from harness.schema import Manifest, MergedModel, Variant
from harness.store.runs import Store

Form = Literal["adapter", "merged"]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def named_form(name: str) -> Form:
    """What ``--form`` asks for.

    Raises:
        UsageError: There is no such form.
    """
    for form in get_args(Form):
        if name == form:
            return cast("Form", form)
    raise UsageError(f"There is no form {name!r}.", where="--form", hint="Use adapter or merged.")


def merged_form(manifest: Manifest, checkpoint: Variant) -> Variant:
    """The merged form of a checkpoint.

    Raises:
        UsageError: There is none.
    """
    forms = manifest.merged_forms(checkpoint.id)
    if not forms:
        what = (
            "a whole model, not an adapter"
            if checkpoint.kind == "full"
            else "not merged in this run"
        )
        raise UsageError(
            f"There is no merged form of {checkpoint.id}: it is {what}.",
            where="--form merged",
            hint="Take it with --form adapter"
            + (
                "."
                if checkpoint.kind == "full"
                else ", or set matrix.merged: best and run the eval."
            ),
        )
    return forms[0]


def check_proof(variant: Variant) -> None:
    """Refuse a merged form that is not known to be its adapter.

    Raises:
        StoreError: It was not compared with it.
    """
    if variant.kind == "merged" and variant.proof is None:
        raise StoreError(
            f"{variant.id} is not shown to be its adapter: it was not merged, or by a version that "
            "did not compare the two.",
            where="--form merged",
            hint="Run the eval again, which merges and compares, or take --form adapter.",
        )


def merged_weights(store: Store, variant: Variant) -> tuple[Path, MergedModel] | None:
    """Where the weights of a merged variant lie, with their record; None where they are gone."""
    return next(_merged_weights(store, variant), None)


def _merged_weights(store: Store, variant: Variant) -> Iterator[tuple[Path, MergedModel]]:
    files = merged_digests(variant)
    for key in store.keys("merged") if files else ():
        made = store.read_record("merged", key, "merged", MergedModel)
        if made.files == files:
            yield store.path("merged", key), made


def merged_digests(variant: Variant) -> dict[str, str]:
    """File name -> sha256 of the weights of a merged variant; empty for others."""
    start = "merged/"
    return {k.removeprefix(start): v for k, v in variant.digests.items() if k.startswith(start)}


def is_hub_id(name: str) -> bool:
    """Whether a name reads like ``owner/name`` on the Hub."""
    return _HUB_ID.fullmatch(name) is not None and ".." not in name and "--" not in name
