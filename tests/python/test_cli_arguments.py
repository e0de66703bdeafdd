"""The command line without a run: arguments, output, messages and exit codes."""

from __future__ import annotations

import io
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from madspark import LLMConfig, LLMRouter, WorkflowResult
from madspark.cli.arguments import config_changes, parse, temperatures
from madspark.cli.failures import explain, without_password
from madspark.cli.main import main
from madspark.cli.outcome import DEGRADED, FAILED, OK, WRONG_USAGE, print_json
from madspark.cli.progress import Progress
from madspark.cli.render import as_json, as_text, degraded, metrics_line, spending
from madspark.cli.run import _show
from madspark.cli.terminal import takes_control_sequences
from madspark.cli.wrap import clean, shorten, width, wrap
from madspark.llm import exceptions as errors
from madspark.llm.response import Attempt

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = {"ollama": "http://user:secret@box:11434", "gemini": "https://gemini.example"}

RESULT: dict[str, Any] = {
    "idea": "Roof farm: beds on flat roofs",
    "initial_score": 6.0,
    "initial_critique": "Heavy.",
    "advocacy": "STRENGTHS\n- Cheap: needs little",
    "skepticism": {"formatted": "CRITICAL FLAWS\n- Weight: too much"},
    "improved_idea": "Light roof farm",
    "improved_score": 8.5,
    "improved_critique": "Better.",
    "improvement_kept": True,
    "final_idea": "Light roof farm",
    "final_score": 8.5,
    "status": "ok",
    "problems": [],
}


UNSCORED = {
    **RESULT,
    "improved_score": None,
    "improved_critique": None,
    "improvement_kept": None,
    "final_idea": RESULT["idea"],
    "final_score": 6.0,
}


def degraded_result() -> dict[str, Any]:
    return {**RESULT, "status": "degraded", "problems": [{"stage": "advocacy", "reason": "rate_limited"}]}


# Arguments


def test_defaults_change_no_field_of_the_configuration() -> None:
    args = parse(["city farming"])
    assert (args.topic, args.context, args.top, args.timeout, args.novelty_threshold) == (
        "city farming",
        "",
        3,
        1200.0,
        0.8,
    )
    assert (args.provider, args.tier, args.fallback) == (None, None, None)
    assert config_changes(args) == {}
    assert temperatures(args) is None


def test_flags_change_only_their_own_fields() -> None:
    args = parse(["t", "--ollama-host", "box:11434", "--ollama-model", "qwen3:4b", "--gemini-model", "g"])
    assert config_changes(args) == {
        "ollama_host": "box:11434",
        "ollama_model_fast": "qwen3:4b",
        "ollama_model_balanced": "qwen3:4b",
        "gemini_model": "g",
    }


def test_a_temperature_of_zero_is_not_unset() -> None:
    manager = temperatures(parse(["t", "--temperature", "0"]))
    assert manager is not None
    assert manager.base_temperature == 0.0
    none = temperatures(parse(["t", "--temperature", "none"]))
    assert none is not None
    assert none.base_temperature is None
    preset = temperatures(parse(["t", "--preset", "wild"]))
    assert preset is not None
    assert preset.idea_generation == 2.0


def test_files_and_urls_may_be_repeated(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.touch()
    second.touch()
    args = parse(["t", "--file", str(first), "--file", str(second), "--url", "https://a", "--url", "http://b"])
    assert args.file == [str(first), str(second)]
    assert args.url == ["https://a", "http://b"]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "topic"),
        (["  "], "blank"),
        (["t", "--top", "0"], "--top"),
        (["t", "--top", "6"], "--top"),
        (["t", "--provider", "clippy"], "ollama"),
        (["t", "--tier", "best"], "fast"),
        (["t", "--temperature", "2.1"], "between 0 and 2"),
        (["t", "--temperature", "nan"], "between 0 and 2"),
        (["t", "--temperature", "1", "--preset", "wild"], "not allowed with"),
        (["t", "--preset", "hot"], "wild"),
        (["t", "--timeout", "0"], "positive"),
        (["t", "--timeout", "inf"], "positive"),
        (["t", "--stage-timeout", "tea=3"], "STAGE=SECONDS"),
        (["t", "--stage-timeout", "improve=3"], "did you mean improvement?"),
        (["t", "--fallback", "--no-fallback=3"], "--no-fallback"),
        (["t", "--stage-timeout", "advocacy=0"], "positive"),
        (["t", "--max-output-tokens", "0"], "positive whole number"),
        (["t", "--novelty-threshold", "1.5"], "between 0 and 1"),
        (["t", "--file", "/no/such/file"], "no such file: /no/such/file"),
        (["t", "--url", "ftp://x"], "http"),
        (["t", "--prov", "ollama"], "unknown option --prov: did you mean --provider?"),
        (["--tiers=fast", "t"], "unknown option --tiers: did you mean --tier?"),
        (["--hlep"], "unknown option --hlep: did you mean --help?"),
        (["t", "--frobnicate"], "unknown option --frobnicate (try"),
        (["food", "from", "city roofs"], "unexpected argument 'city roofs': put a text of several words in quotes"),
        (["-", "-"], "only one of topic and context"),
        (["t", "--verbose", "--quiet"], "not allowed with"),
        (["t", "--gemini-api-key", "k"], "--gemini-api-key"),
        (["caf\udce9"], "encoding"),
    ],
)
def test_wrong_usage_prints_one_line_and_exits_with_2(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == WRONG_USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert hint in err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["help"], "`madspark --help`"),
        (["Version"], "`madspark --version`"),
        (["models", "--provider", "mock"], "`ollama list`"),
        (["pull", "gemma3:4b"], "`ollama pull NAME`"),
        (["run", "food from city roofs"], "write the topic itself"),
        (["config"], "environment variables"),
        (["doctor"], "`doctor` is not a command of madspark"),
        (["serve", "--json"], "`madspark -- serve`"),
        (["cahce", "stats"], "did you mean `madspark cache stats`"),
        (["hlep"], "did you mean `madspark --help`?"),
    ],
)
def test_words_that_are_commands_elsewhere_are_no_topics(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == WRONG_USAGE
    out, err = capsys.readouterr()
    assert hint in err
    assert f"madspark -- {arguments[0]}" in err
    assert err.count("\n") == 1
    assert (json.loads(out)["error"]["code"] if out else None) == ("wrong_usage" if "--json" in arguments else None)


@pytest.mark.parametrize("topic", ["help for elders", "kelp", "hemp", "catch", "conversion", "health", "chat rooms"])
def test_other_topics_are_not_refused(topic: str) -> None:
    assert parse([topic]).topic == topic


def test_after_two_dashes_and_with_a_context_a_word_is_a_topic() -> None:
    for arguments in (["--", "help"], ["--json", "--", "cache", "context"]):
        assert parse(arguments).topic == arguments[arguments.index("--") + 1]
    assert parse(["chat", "for a small town"]).topic == "chat"


def test_help_lists_exit_codes_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    out = capsys.readouterr().out
    assert "130" in out
    assert "GOOGLE_API_KEY" in out


# Text


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("日本", 4), ("e\u0301", 1), ("ｱ", 1), ("Ａ", 2), ("", 0)],  # noqa: RUF001  # half and full width
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


def test_words_are_not_split_and_bullets_are_indented() -> None:
    assert wrap("- one two three four", 12, " ") == [" - one two", "   three", "   four"]
    assert wrap("12. one two", 8) == ["12. one", "    two"]
    assert wrap("don’t stop", 6) == ["don’t", "stop"]  # noqa: RUF001  # a typographic apostrophe


def test_wide_text_does_not_break_before_a_full_stop() -> None:
    assert wrap("屋上で野菜を育てる。", 8) == ["屋上で野", "菜を育て", "る。"]
    assert wrap("屋上で野。菜", 8) == ["屋上で", "野。菜"]


def test_blank_lines_are_kept_and_long_words_split() -> None:
    assert wrap("a\n\nb", 10) == ["a", "", "b"]
    assert wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_control_characters_are_removed() -> None:
    assert clean("a\x1b[31mb\x07\u202ec\td\r\ne") == "a[31mbc d\ne"
    assert wrap("a\x1b]0;title\x07b", 40) == ["a]0;titleb"]


@given(text=st.text(alphabet=st.sampled_from("ab 日。ー-é\u0301\u200d👩\n1."), max_size=60), columns=st.integers(8, 30))
def test_wrapping_keeps_every_character_and_the_width(text: str, columns: int) -> None:
    lines = wrap(text, columns, "  ")
    assert "".join("".join(lines).split()) == "".join(text.split())
    # A mark that must not start a line may exceed its width.
    assert all(width(line) <= columns + 2 * line.count("。") + 2 * line.count("ー") for line in lines)


@given(text=st.text(max_size=40), columns=st.integers(1, 20))
def test_shortened_text_fits_in_one_line(text: str, columns: int) -> None:
    short = shorten(text, columns)
    assert width(short) <= columns
    assert "\n" not in short
    line = " ".join(clean(text).split())
    assert short == line or (short.endswith("…") and line.startswith(short[:-1]))


# Results


def test_every_section_is_shown_within_the_width() -> None:
    text = as_text([RESULT, UNSCORED], 40)
    assert "1. score 8.5 of 10, improved from 6\n   (+2.5)\n" in text
    assert "2. score 6 of 10\n" in text
    for shown in ("Roof farm", "Heavy.", "STRENGTHS", "CRITICAL FLAWS", "Light roof farm", "Better."):
        assert shown in text
    assert all(width(line) <= 40 for line in text.splitlines())


def test_the_kept_idea_comes_first() -> None:
    def order(text: str, *parts: str) -> bool:
        return sorted(parts, key=text.index) == list(parts)

    text = as_text([RESULT], 80)
    assert order(text, "Light roof farm", "Better.", "Improved from", "Roof farm: beds", "Heavy.", "STRENGTHS")
    lower = {
        **RESULT,
        "improved_score": 4.9,
        "initial_score": 8.7,
        "improvement_kept": False,
        "final_idea": RESULT["idea"],
        "final_score": 8.7,
    }
    text = as_text([lower], 80)
    assert text.startswith("1. score 8.7 of 10; the improved version scored 4.9 and was not kept\n")
    assert order(text, "Roof farm: beds", "Heavy.", "STRENGTHS", "Improved, but not kept", "Light roof farm", "Better.")
    assert order(as_text([UNSCORED], 80), "Roof farm: beds", "Heavy.", "Improved, not scored", "Light roof farm")


def test_sections_without_content_are_left_out() -> None:
    text = as_text([{"idea": "bare", "initial_score": None, "advocacy": None, "skepticism": ""}], 80)
    assert text == "1. not scored\n   bare"


def test_degraded_ideas_are_named_with_stage_and_reason() -> None:
    assert degraded([RESULT]) == []
    (line,) = degraded([RESULT, degraded_result()])
    assert line == "idea 2 (Roof farm: beds on flat roofs) is degraded: advocacy: rate_limited"
    (line,) = degraded([{**RESULT, "status": "failed", "problems": [{"stage": "evaluation", "reason": "a\nb"}]}])
    assert line.endswith("failed: evaluation: a b")


def result_of(results: list[dict[str, Any]], **fields: Any) -> WorkflowResult:
    statuses = {result["status"] for result in results}
    values: dict[str, Any] = {
        "run_id": "r",
        "status": "ok" if statuses == {"ok"} else "degraded",
        "partial": False,
        "mode": "batch",
        "candidates": [
            {**result, "skepticism": None, "idea_index": at, "text": result["idea"]}
            for at, result in enumerate(results)
        ],
        "served_by": [{"provider": "ollama", "model": "gemma3:4b", "answers": 3}],
        "spent": {"calls": 4, "tokens": 120, "cost": None},
    }
    return WorkflowResult.model_validate({**values, **fields})


@pytest.mark.parametrize(
    ("results", "fields", "code", "message"),
    [
        ([RESULT], {}, OK, ""),
        ([RESULT, degraded_result()], {}, DEGRADED, "idea 2"),
        ([], {"status": "failed"}, FAILED, "without an idea. Answered by Ollama gemma3:4b (3 answers). 4 requests"),
        ([degraded_result()], {"status": "failed"}, FAILED, "idea 1"),
        ([RESULT], {"partial": True, "cut": "budget", "reason": "the budget is used up"}, DEGRADED, "used up"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_exit_codes_of_finished_runs(
    results: list[dict[str, Any]],
    fields: dict[str, Any],
    code: int,
    message: str,
    flags: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = LLMRouter("mock", config=LLMConfig()).get_metrics()
    assert _show(parse(["t", *flags]), result_of(results, **fields), metrics, None) == code
    out, err = capsys.readouterr()
    assert message in err
    assert bool(err) is (code != OK)
    if flags:
        answer = json.loads(out)
        assert [result["idea"] for result in answer["results"]] == [result["idea"] for result in results]
        assert (answer["calls"], answer["tokens"], answer["cost"], answer["metrics"]) == (4, 120, None, metrics)
        assert {"served_by", "stages", "candidates", "spent", "agents", "run_id"} <= set(answer)
    elif results:
        assert " ".join(out.rsplit("\n\n", 1)[-1].split()) == (
            "Answered by Ollama gemma3:4b (3 answers). 4 requests, 120 tokens, cost unknown: a price is unknown."
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_has_the_exit_code_of_its_signal(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = LLMRouter("mock", config=LLMConfig()).get_metrics()
    cut = {"partial": True, "cut": "cancelled", "reason": "the run was cancelled"}
    assert _show(parse(["t"]), result_of([RESULT], **cut), metrics, number) == 128 + number
    out, err = capsys.readouterr()
    assert "Light roof farm" in out
    assert err == "madspark: cancelled\n"


def test_the_cost_of_a_run_is_shown() -> None:
    spent = {"calls": 1, "tokens": 9, "cost": 0.12345}
    served = [{"provider": name, "model": "m\x1b[1m", "answers": 1} for name in ("gemini", "mine")]
    assert spending(result_of([RESULT], spent=spent, served_by=served)) == (
        "Answered by Gemini m[1m (1 answer); mine m[1m (1 answer). 1 request, 9 tokens, 0.1235 USD."
    )


@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_holds_the_whole_result(ascii_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    result = result_of([{**RESULT, "idea": "屋上"}])
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii" if ascii_only else "utf-8")
    monkeypatch.setattr("sys.stdout", stdout)
    print_json(as_json(result, {"total_requests": 7}))
    text = stdout.buffer.getvalue().decode()
    answer = json.loads(text)
    assert text.isascii() is ascii_only
    assert answer["metrics"] == {"total_requests": 7}
    assert answer["results"] == result.to_dicts()
    assert answer.items() >= result.model_dump(mode="json").items()


def test_an_unknown_cost_is_not_zero() -> None:
    assert "cost unknown" in metrics_line({"total_cost": None})
    assert "0.0000 USD" in metrics_line({"total_cost": 0.0})


# Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_lines_in_a_file_and_one_line_on_a_terminal() -> None:
    plain, terminal, silent = io.StringIO(), Terminal(), Terminal()
    for stream, quiet in ((plain, False), (terminal, False), (silent, True)):
        rewrites = takes_control_sequences(stream, {"TERM": "xterm"})
        show_three(Progress(stream, rewrites=rewrites, quiet=quiet))
    assert plain.getvalue() == "[  0%] Starting\n[ 10%] Generating\n[100%] Done\n"
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[2K")
    assert silent.getvalue() == ""


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {}, {"TERM": "xterm", "NO_COLOR": "1"}])
@pytest.mark.skipif(sys.platform == "win32", reason="the terminals of Windows have no TERM")
def test_a_terminal_without_control_sequences_gets_lines(variables: dict[str, str]) -> None:
    terminal = Terminal()
    show_three(Progress(terminal, rewrites=takes_control_sequences(terminal, variables), quiet=False))
    assert terminal.getvalue() == "[  0%] Starting\n[ 10%] Generating\n[100%] Done\n"


def show_three(progress: Progress) -> None:
    progress.show("Starting", 0.0)
    progress.show("Generating", 0.1)
    progress.show("Done", 1.0)
    progress.clear()


# Failures


def attempt(provider: str, kind: str, message: str = "m", model: str = "gemma3:4b") -> Attempt:
    return Attempt(provider, model, ok=False, error=kind, message=message)


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        (attempt("ollama", "connect"), "cannot reach Ollama at http://box:11434: start it with `ollama serve`"),
        (attempt("gemini", "connect"), "cannot reach Gemini at https://gemini.example"),
        (attempt("gemini", "missing_key", "there is no API key: set it"), "Gemini: there is no API key: set it"),
        (attempt("ollama", "unsupported", "does not take PDF files"), "PDF files: pass --provider gemini"),
        (attempt("gemini", "unsupported", "does not take that"), "Gemini: does not take that"),
        (attempt("openai", "overloaded", "busy"), "busy: try again"),
        (attempt("gemini", "unauthorized"), "check GOOGLE_API_KEY"),
        (attempt("anthropic", "not_configured", "set ANTHROPIC_MODEL"), "Anthropic: set ANTHROPIC_MODEL"),
        (attempt("anthropic", "model_missing"), "--anthropic-model"),
        (attempt("anthropic", "unauthorized"), "check ANTHROPIC_API_KEY"),
        (attempt("openai", "forbidden"), "check OPENAI_API_KEY"),
        (attempt("ollama", "model_missing"), "`ollama pull gemma3:4b`"),
        (attempt("gemini", "model_missing"), "--gemini-model"),
        (
            attempt(
                "ollama", "model_missing", "is not installed: run it; installed: a, b; choose one with OLLAMA_MODEL"
            ),
            "or pass --ollama-model; installed: a, b; choose one with OLLAMA_MODEL",
        ),
        (attempt("ollama", "timeout"), "--tier fast"),
        (attempt("ollama", "dns"), "cannot reach Ollama at http://box:11434"),
        (attempt("ollama", "connect_timeout"), "cannot reach Ollama at http://box:11434"),
        (attempt("ollama", "first_token_timeout"), "--tier fast"),
        (attempt("ollama", "idle_timeout"), "--tier fast"),
        (attempt("ollama", "loading"), "--tier fast"),
        (attempt("gemini", "rate_limited"), "try again in 12 s"),
        (attempt("gemini", "cooldown"), "try again in 12 s"),
        (attempt("gemini", "breaker_open", "it failed again"), "it failed again: try again"),
        (attempt("gemini", "invalid_output"), "try another model"),
        (attempt("ollama", "truncated", "the reply was cut"), "Ollama: the reply was cut: try a larger --max-output"),
        (attempt("gemini", "server", "HTTP 500\nwith a second line"), "Gemini: HTTP 500 with a second line"),
    ],
)
def test_a_failure_is_explained_with_its_remedy(failure: Attempt, hint: str) -> None:
    line = explain(errors.LLMProviderError("x", attempts=[failure], retry_after=12.0), HOSTS)
    assert hint in line
    assert "\n" not in line
    assert "secret" not in line


def test_each_target_is_explained_once() -> None:
    line = explain(
        errors.all_failed(
            "none",
            {},
            "a private prompt",
            attempts=[
                attempt("ollama", "invalid_output"),
                attempt("ollama", "model_missing"),
                attempt("gemini", "missing_key", "set GOOGLE_API_KEY", model="g"),
            ],
        ),
        HOSTS,
    )
    assert line.count("Ollama") == 1
    assert "ollama pull" in line
    assert "GOOGLE_API_KEY" in line
    assert "private" not in line


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (errors.ProviderUnavailableError("x", provider="ollama"), "ollama serve"),
        (errors.ProviderUnavailableError("is full", provider="ollama", status=503), "Ollama: is full"),
        (errors.ProviderUnavailableError("x", provider="ollama", model="m", status=404), "ollama pull m"),
        (errors.AuthorizationError("x", provider="gemini"), "GOOGLE_API_KEY"),
        (errors.ProviderTimeoutError("x", provider="ollama", status=504), "did not answer in time"),
        (errors.all_failed("none", {"ollama": errors.RateLimitError("x", retry_after=3)}), "try again in 3 s"),
        (errors.WorkflowTimeoutError("the run took longer than 5 s"), "--timeout"),
        (errors.InternalError("oops"), "please report it: oops"),
        (errors.LLMProviderError("refused"), "refused"),
        (FileNotFoundError(2, "No such file", "/x/y"), "no such file: /x/y"),
        (ValueError("topic must not be blank"), "topic must not be blank"),
        (NotImplementedError("URLs are not fetched"), "URLs are not fetched"),
        (RuntimeError("odd"), "RuntimeError: odd"),
    ],
)
def test_a_failure_without_attempts_is_explained(error: Exception, hint: str) -> None:
    assert hint in explain(error, HOSTS)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:secret@box:1/v1", "http://box:1/v1"),
        ("http://secret@box", "http://box"),
        ("http://box:1", "http://box:1"),
        ("http://a@b:secret@box", "http://box"),
    ],
)
def test_passwords_in_urls_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
