"""Texts are counted exactly: as OpenAI's own tokenizer counts them, which is another program over the same vocabulary.

The vocabulary is proved to be OpenAI's: the other program checks it against a digest of its own, and would have to go online for another.
"""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
from importlib import resources
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cost.tokens import count_tokens, vocabulary_of

CORPUS = {path.stem: path.read_text() for path in sorted((Path(__file__).parents[1] / "data" / "corpus").iterdir())}
ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tiktoken.Encoding:
    """OpenAI's tokenizer, with the vocabulary where it looks for what it has downloaded."""
    folder = tmp_path_factory.mktemp("vocabulary")
    packed = resources.files("bpe_openai").joinpath("data", "o200k_base.tiktoken.gz").read_bytes()
    (folder / hashlib.sha1(ADDRESS.encode()).hexdigest()).write_bytes(gzip.decompress(packed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        return tiktoken.get_encoding("o200k_base")


@pytest.mark.parametrize("name", CORPUS)
def test_a_text_has_the_tokens_that_openai_counts(name: str, other: tiktoken.Encoding) -> None:
    """Whole, line by line, and cut anywhere: English, Chinese, code, emoji, JSON, Arabic and their neighbours."""
    text = CORPUS[name]
    pieces = [text, *text.splitlines(keepends=True), *(text[at : at + 37] for at in range(0, len(text), 11))]
    assert count_tokens(pieces) == [len(other.encode_ordinary(piece)) for piece in pieces]


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_counted_alike(other: tiktoken.Encoding, text: str) -> None:
    """Also what nobody would write."""
    assert count_tokens([text]) == [len(other.encode_ordinary(text))]


@pytest.mark.parametrize(
    "text", ["a" * 300_000, " " * 300_000, "\n" * 300_000, "ab1 " * 400_000], ids=lambda text: text[:4]
)
def test_a_monster_is_counted_in_a_moment(text: str) -> None:
    """A cell may hold a megabyte of one letter; nothing here is quadratic."""
    assert 0 < count_tokens([text])[0] < len(text)


def test_control_tokens_in_a_text_are_text() -> None:
    """A row must not end a prompt by writing so; it is sent as text and billed as text."""
    assert count_tokens(["<|endoftext|>"])[0] > 1


def test_nothing_has_no_tokens() -> None:
    """No texts have no counts, an empty one counts 0."""
    assert count_tokens([]) == []
    assert count_tokens(["", "hello world"]) == [0, 2]


def test_half_a_surrogate_pair_is_counted() -> None:
    """Such a row is refused when it is sent; until then it must not stop the others."""
    assert count_tokens(["a", "\ud800b"]) == [1, 2]


def test_one_vocabulary_is_loaded() -> None:
    """The package that has it would load all of its own, which takes ten times as long; whoever imports it later still can."""
    code = (
        "import sys; from pipeline.cost.tokens import count_tokens; assert count_tokens(['hello world']) == [2]\n"
        "assert 'bpe_openai.registry' not in sys.modules\n"
        "from bpe_openai._bindings import tokenizer_for_encoding\n"
        "assert tokenizer_for_encoding('o200k_base').count('hello world') == 2\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_threads_count_alike() -> None:
    """One vocabulary serves them all."""
    texts = list(CORPUS.values()) * 5
    counted: list[list[int]] = []
    threads = [threading.Thread(target=lambda: counted.append(count_tokens(texts))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == [count_tokens(texts)] * 4


NAMES = (
    "gpt-5",
    "gpt-5.6-2026-09-01",
    "gpt-5-mini",
    "gpt-4.1-nano",
    "gpt-4o-2024-08-06",
    "o1",
    "o3-pro",
    "o4-mini",
    "gpt-oss-120b",
)


@pytest.mark.parametrize("model", NAMES)
def test_counts_are_called_exact_where_openai_says_so(model: str) -> None:
    """Its tokenizer names the vocabulary of each of these; with a vendor's prefix too."""
    assert tiktoken.encoding_name_for_model(model).startswith("o200k")
    assert vocabulary_of(model).note is vocabulary_of(f"openai/{model}").note is None


@pytest.mark.parametrize(
    "model",
    ["gpt-4", "gpt-3.5-turbo", "gpt-6", "codex-1", "gemini-2.5-pro", "google/gemini-3-pro", "claude-5", "qwen3", ""],
)
def test_other_models_are_never_called_exact(model: str) -> None:
    """The note gives the error in percent."""
    assert "%" in str(vocabulary_of(model).note)
