"""What every analyser plugin guarantees, whatever service it asks."""

from __future__ import annotations

import pytest

from engine.ai.analyser import SERVICES, OfflineAnalyser, choose_analyser
from engine.ai.analysis import AnalyserMaker
from engine.ai.embedding import UniversalSentenceEmbedder
from engine.forge.blueprint.checks import errors
from engine.kernel.errors import NotUnderstood
from engine.kernel.plugins import Registry

TEXT = "A bike rental: customers reserve bikes, each bike has a frame number"
NOWHERE = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
"""Where each service is looked for in these tests: nobody answers there."""


@pytest.fixture(scope="module")
def embedder() -> UniversalSentenceEmbedder:
    return UniversalSentenceEmbedder()


@pytest.fixture(params=sorted(SERVICES))
def variable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    return str(request.param)


def test_every_plugin_has_a_key_that_chooses_it() -> None:
    registry: Registry[AnalyserMaker] = Registry("analysers", AnalyserMaker)  # type: ignore[type-abstract]
    assert sorted(SERVICES.values()) == list(registry)


@pytest.mark.parametrize("value", ["", "  "])
def test_without_a_key_no_service_is_asked(
    variable: str, value: str, embedder: UniversalSentenceEmbedder
) -> None:
    assert isinstance(choose_analyser(embedder, {variable: value}), OfflineAnalyser)


async def test_a_service_that_does_not_answer_is_replaced_openly(
    variable: str, embedder: UniversalSentenceEmbedder
) -> None:
    analysis = await choose_analyser(embedder, {variable: "a-key-of-nobody"}).analyse(TEXT)
    assert not errors(analysis.blueprint)
    assert analysis.analyser == "offline"
    assert "offline analyser answered instead" in analysis.assumptions[0].en


async def test_nonsense_is_refused_before_a_service_is_asked(
    variable: str, embedder: UniversalSentenceEmbedder
) -> None:
    with pytest.raises(NotUnderstood):
        await choose_analyser(embedder, {variable: "a-key-of-nobody"}).analyse("!!! ??? ...")
