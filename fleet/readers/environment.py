"""Variables of an engine's environment: which are kept, and what of their values.

A process, a unit of systemd and a server's log all show whole environments, passwords of proxies
and keys among them. Only what is listed here is ever kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fleet.model.settings import settings_of

SPEED = re.compile(
    r"OLLAMA_(?:CONTEXT_LENGTH|MAX_LOADED_MODELS"
    r"|GPU_OVERHEAD|SCHED_SPREAD|LLM_LIBRARY|VULKAN|IGPU_ENABLE|NEW_ENGINE|MULTIUSER_CACHE)"
    r"|(?:LLAMA_ARG|GGML|MLX)_[A-Z0-9_]+|(?:CUDA|ROCR|HIP|GGML_VK)_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL"
    r"|HSA_OVERRIDE_GFX_VERSION",
    re.ASCII,
)
"""Variables that change what is measured, beside those that an experiment can set."""
SETTINGS = frozenset(setting.variable for setting in settings_of("environment"))
ADDRESS = "OLLAMA_HOST"
"""By which one of several servers on a machine is told from the others."""
HARMLESS = frozenset(
    "OLLAMA_DEBUG OLLAMA_KEEP_ALIVE OLLAMA_LOAD_TIMEOUT OLLAMA_MAX_QUEUE OLLAMA_MODELS"
    " OLLAMA_NOHISTORY OLLAMA_NOPRUNE OLLAMA_NO_CLOUD OLLAMA_ORIGINS OLLAMA_REMOTES".split()
)
"""Further variables that Ollama lists of itself."""
SECRET = re.compile(r"KEY|TOKEN(?!S)|SECRET|PASS|AUTH|CRED|COOKIE|PROXY|URL", re.IGNORECASE)
"""What the name of a variable says that may hold a secret, whatever it begins with."""
_LOGIN = re.compile(r"[^\s/@\[]*:[^\s/@]*@|(?<=//)[^\s/@]*@")


def kept(variables: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Keep the listed variables, each without a user name and password in an address."""
    return {name: _LOGIN.sub("", value) for name, value in variables if is_listed(name)}


def is_listed(name: str) -> bool:
    return changes_speed(name) or (
        (name == ADDRESS or name in HARMLESS) and not SECRET.search(name)
    )


def changes_speed(name: str) -> bool:
    listed = name in SETTINGS or SPEED.fullmatch(name) is not None
    return listed and not SECRET.search(name)
