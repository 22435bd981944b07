"""Every lesson is told in both languages, and every gap in a sentence is filled."""

import string

import pytest
from demo.drills import texts
from demo.drills.scripts import SCRIPTS

VALUES = {"name": "broker-2", "pid": 4711, "posted": 60, "refused": 3, "seconds": 1.25}
SENTENCES = {name: value for name, value in vars(texts).items() if isinstance(value, texts.Text)}


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_drill_has_a_lesson_and_every_lesson_a_drill() -> None:
    assert list(SCRIPTS) == list(texts.LESSONS)


@pytest.mark.parametrize("name", texts.LESSONS)
@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_a_lesson_has_no_gaps_and_is_in_its_language(name: str, language: str) -> None:
    lesson = texts.LESSONS[name]
    for text in (lesson.expect, lesson.meant):
        told = text.of(language)
        assert len(told) > 40
        assert "{" not in told
        assert any("가" <= letter <= "힣" for letter in told) == (language == "ko")


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_has_the_same_gaps_in_both_languages_and_all_are_filled(name: str) -> None:
    text = SENTENCES[name]
    assert gaps(text.ko) == gaps(text.en) <= VALUES.keys()
    values = {gap: VALUES[gap] for gap in gaps(text.en)}
    for language in texts.LANGUAGES:
        told = text.of(language, **values)
        assert "{" not in told
        for value in values.values():
            assert (f"{value:.1f}" if isinstance(value, float) else str(value)) in told


def test_a_gap_that_is_not_filled_is_an_error() -> None:
    with pytest.raises(KeyError):
        texts.KILL.of("en", name="broker-1")
