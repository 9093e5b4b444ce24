"""Holds bitsandbytes to the code that it runs on CPUs without AVX-512.

Its CPU library asks the processor once and remembers the answer in static variables, without an
environment variable to say otherwise. They are found by their names in the library's symbol table
and cleared.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HarnessError
from harness.models.hardware import cpu_flags

_ASKS = "has_avx512f_cpu"  # exported; makes the library ask the processor
_REMEMBERS = "_ZZL11has_avx512fvE17supported_avx512f"  # has_avx512f()::supported_avx512f


def hold_to_avx2() -> None:
    """Make this process' bitsandbytes compute as on a CPU with AVX2 only.

    Raises:
        HarnessError: The library is of another make, and would go on using AVX-512.
    """
    if "avx512f" not in cpu_flags():
        return
    from bitsandbytes import cextension

    library = ctypes.CDLL(str(Path(cextension.__file__).parent / "libbitsandbytes_cpu.so"))
    asks = getattr(library, _ASKS, None)
    symbols = dict(_symbols(Path(library._name)))
    flags = [at for name, at in symbols.items() if name.startswith(_REMEMBERS)]
    if asks is None or _ASKS not in symbols or not flags:
        raise HarnessError(
            "This bitsandbytes cannot be held to AVX2: its library has no such flags.",
            mend="Run the row on a CPU without AVX-512.",
        )
    asks()
    base = (ctypes.cast(asks, ctypes.c_void_p).value or 0) - symbols[_ASKS]
    for at in flags:
        ctypes.c_ubyte.from_address(base + at).value = 0
    if asks():
        raise HarnessError("bitsandbytes still finds AVX-512 after its flags were cleared.")


def _symbols(path: Path) -> Iterator[tuple[str, int]]:
    """Names and addresses in the symbol table of a 64-bit little-endian ELF file."""
    data = path.read_bytes()
    (sections,) = struct.unpack_from("<Q", data, 40)  # e_shoff
    size, count = struct.unpack_from("<HH", data, 58)  # e_shentsize, e_shnum
    headers = [struct.unpack_from("<IIQQQQII", data, sections + size * i) for i in range(count)]
    for _, kind, _, _, offset, length, link, _ in headers:
        if kind != 2:  # SHT_SYMTAB
            continue
        names = headers[link][4]
        for at in range(offset, offset + length, 24):
            name, _, _, _, address, _ = struct.unpack_from("<IBBHQQ", data, at)
            end = data.index(b"\0", names + name)
            yield data[names + name : end].decode(), address
