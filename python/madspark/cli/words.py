"""Words that are commands elsewhere.

The command runs the workflow on its first argument. A word that somebody expects to be a command must not start a run,
which takes minutes and may cost money.
"""

from __future__ import annotations

__all__ = ["refusal"]

_OWN = {
    "cache": "`madspark cache stats` or `madspark cache clear`",
    "help": "`madspark --help`",
    "version": "`madspark --version`",
}
"""The commands of madspark, as they are written."""

_SETTINGS = "settings are options and environment variables: `madspark --help`"
_MODELS = "`ollama list` shows the models of Ollama"
_TOPIC = 'write the topic itself: `madspark "TOPIC"`'

_INSTEAD = {
    "stats": _OWN["cache"],
    "clear": _OWN["cache"],
    "usage": _OWN["help"],
    **dict.fromkeys(("models", "list", "ls", "ps"), _MODELS),
    **dict.fromkeys(("pull", "install"), "`ollama pull NAME` installs a model"),
    **dict.fromkeys(("config", "configure", "env", "init", "settings", "setup"), _SETTINGS),
    **dict.fromkeys(("exec", "generate", "run", "start"), _TOPIC),
}
"""Commands of other tools that are often followed by an argument, with what does the same here."""

_ELSEWHERE = frozenset({
    "auth", "build", "chat", "check", "cli", "completion", "completions", "create", "debug", "delete", "deploy",
    "diagnose", "doctor", "eval", "exit", "export", "import", "info", "inspect", "login", "logout", "logs",
    "man", "model", "new", "ping", "prompt", "providers", "push", "quit", "remove", "rm", "serve", "server",
    "shell", "show", "status", "stop", "test", "tests", "tui", "ui", "uninstall", "update", "upgrade", "web",
    "whoami",
})  # fmt: skip
"""Further commands of other tools. With a context they are topics."""

_ALIKE = 0.85
"""The similarity from which a word counts as a typing error of a command."""


def refusal(topic: str, context: str) -> str | None:
    """Return why `topic` is refused, or None if it is a topic."""
    word = topic.strip().lower()
    anyway = f"to run the workflow on this topic: `madspark -- {topic}{' ...' if context else ''}`"
    instead = _OWN.get(word) or _INSTEAD.get(word)
    if instead is not None:
        return f"`{word}` is not a command of its own: {instead}; {anyway}"
    if word in _ELSEWHERE and not context:
        return f"`{word}` is not a command of madspark; {anyway}"
    meant = _misspelled(word)
    return None if meant is None else f"did you mean {_OWN[meant]}? {anyway[0].upper()}{anyway[1:]}"


def _misspelled(word: str) -> str | None:
    from difflib import SequenceMatcher

    for command in _OWN:
        is_like = word[:1] == command[0] and SequenceMatcher(None, word, command).ratio() >= _ALIKE
        if is_like or sorted(word) == sorted(command):
            return command
    return None
