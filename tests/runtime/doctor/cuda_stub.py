"""A driver library for the tests, compiled from C: two GPUs, or the failure asked for, behind the names of cuda.h."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef INIT
#define INIT return 0
#endif
#ifndef COUNT
#define COUNT 2
#endif

int cuInit(unsigned flags) { INIT; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 40 + ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device == 40 ? "Orin" : "NVIDIA L4", length);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (attribute != 75 && attribute != 76) return 1;
    *value = attribute == 75 ? 8 : device == 40 ? 7 : 9;
    return 0;
}
#ifndef NO_MEMORY_FUNCTION
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device == 40 ? 8 : 24) << 30; return 0; }
#endif
int cuGetErrorName(int status, const char **name) {
    if (status != 803) return 1;
    *name = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH";
    return 0;
}
"""


def build(folder: Path, *defines: str) -> Path:
    """Compile the library with `defines`; skips the test where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler (gcc) makes the driver of this test; there is none")
    source, library = folder / "cuda.c", folder / "libcuda-stub.so"
    source.write_text(SOURCE)
    flags = [f"-D{define}" for define in defines]
    subprocess.run([compiler, "-shared", "-fPIC", *flags, "-o", str(library), str(source)], check=True, timeout=60)
    return library
