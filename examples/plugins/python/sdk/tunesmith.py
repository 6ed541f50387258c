"""What a method for tunesmith needs of the contract, in Python's own terms.

The contract itself is wit/deps/tunesmith-method; its documentation holds here. Types that
several interfaces share are in `wit_world.imports.types`, the others beside their interface:
importing one from the wrong place fails only when the plugin is built.
"""

import functools
import traceback

from componentize_py_types import Err
from wit_world.exports.method import (
    Descriptor, IntegerRange, Kind_Choice, Kind_Flag, Kind_Integer, Kind_Number, Kind_Text, Kind_Texts,
    NumberRange, SettingDoc,
)
from wit_world.imports import dataset, diagnostics
from wit_world.imports.dataset import Overview, Row, Selection, Task
from wit_world.imports.types import (
    Example, InvalidSetting, Job, Message, Origin, Refusal_InvalidSetting, Refusal_Other,
    Refusal_UnsuitableDataset, Refusal_Unsupported, Role, Setting, Value_Flag, Value_Integer, Value_Number,
    Value_Text, Value_Texts,
)

ASSUMED_CONTEXT_WINDOW = 4096
"""The context window, in tokens, of a job that gives none: Ollama's own default."""

MOST_TASKS = 16
"""At most this many tasks are looked at: more system prompts are not tasks but texts of single rows."""


def guarded(call):
    """Decorates an exported function, so that the host can show what went wrong in it.

    A plugin has no console. A refusal, which is raised, is no failure and passes.
    """

    @functools.wraps(call)
    def guard(*given):
        try:
            return call(*given)
        except Err:
            raise
        except BaseException:
            diagnostics.panicked(traceback.format_exc())
            raise

    return guard


def refuse_setting(name: str, reason: str) -> Err:
    """`raise refuse_setting(…)` declines a setting's value: say which values would do."""
    return Err(Refusal_InvalidSetting(InvalidSetting(name, reason)))


def refuse_dataset(reason: str) -> Err:
    """`raise refuse_dataset(…)` declines the dataset: say what is missing, and what would do."""
    return Err(Refusal_UnsuitableDataset(reason))


def refuse_unsupported(reason: str) -> Err:
    """`raise refuse_unsupported(…)` says what the method cannot do on this provider."""
    return Err(Refusal_Unsupported(reason))


def refuse(reason: str) -> Err:
    """`raise refuse(…)` declines for any other reason, in words that the user can act on."""
    return Err(Refusal_Other(reason))


def value(plain):
    """A plain value as the contract has it: bool, int, float, str or a list of str."""
    if isinstance(plain, bool):
        return Value_Flag(plain)
    if isinstance(plain, int):
        return Value_Integer(plain)
    if isinstance(plain, float):
        return Value_Number(plain)
    if isinstance(plain, str):
        return Value_Text(plain)
    return Value_Texts(list(plain))


def named(name: str, plain) -> Setting:
    """A named value: a parameter, a hyperparameter, or a setting of a recipe."""
    return Setting(name, value(plain))


def flag(name: str, doc: str, default=None) -> SettingDoc:
    """Declares a setting that is true or false."""
    return _declared(name, doc, Kind_Flag(), default)


def integer(name: str, doc: str, least: int, most: int, default=None) -> SettingDoc:
    """Declares a setting that is a whole number, both bounds included."""
    return _declared(name, doc, Kind_Integer(IntegerRange(least, most)), default)


def number(name: str, doc: str, least: float, most: float, least_excluded=False, default=None) -> SettingDoc:
    """Declares a setting that is a number."""
    default = None if default is None else float(default)
    return _declared(name, doc, Kind_Number(NumberRange(least, most, least_excluded)), default)


def text(name: str, doc: str, most_bytes: int, default=None) -> SettingDoc:
    """Declares a setting that is a text."""
    return _declared(name, doc, Kind_Text(most_bytes), default)


def choice(name: str, doc: str, choices: list[str], default=None) -> SettingDoc:
    """Declares a setting that is one of these texts."""
    return _declared(name, doc, Kind_Choice(choices), default)


def texts(name: str, doc: str, most: int, default=None) -> SettingDoc:
    """Declares a setting that is a list of at most this many texts."""
    return _declared(name, doc, Kind_Texts(most), default)


def _declared(name, doc, kind, default):
    return SettingDoc(name, doc, kind, None if default is None else value(default))


def get(job: Job, name: str):
    """The job's setting of this name, given or default; None where the job has none."""
    return next((found.value.value for found in job.settings if found.name == name), None)


def is_given(job: Job, name: str) -> bool:
    """Whether the user set this setting; otherwise it is the method's default."""
    return any(found.name == name and found.origin == Origin.GIVEN for found in job.settings)


def given_or(job: Job, name: str, own):
    """The value if the user set it, otherwise the method's choice. The user always wins."""
    return get(job, name) if is_given(job, name) else own


def given_of(job: Job, *names: str) -> list[Setting]:
    """The named settings that the user set, as named values."""
    return [
        Setting(found.name, found.value)
        for name in names
        for found in job.settings
        if found.name == name and found.origin == Origin.GIVEN
    ]


def without_effect(job: Job, names: list[str], place: str) -> list[str]:
    """A note for each of these settings that the user set although it has no effect, such as "on OpenAI"."""
    return [f"{name} has no effect {place}." for name in names if is_given(job, name)]


def overview() -> Overview:
    """The dataset in figures."""
    return dataset.describe()


def typed_overview() -> Overview:
    """The dataset in figures, if it has rows that a method can look at; otherwise it is declined."""
    found = overview()
    if found.rows == 0:
        raise refuse_dataset("the dataset has no rows; use one with chat conversations")
    if found.typed_rows == 0:
        raise refuse_dataset(f"none of the {found.rows} rows consists of plain texts, which examples are made of")
    return found


def tasks(most: int = MOST_TASKS) -> list[Task]:
    """The tasks with the most rows first."""
    return dataset.tasks(most)


def sample(count: int, token_budget=None, longest_row_tokens=None, task=None) -> list[Row]:
    """Rows spread over the dataset, within the selection."""
    return dataset.sample(Selection(count, token_budget, longest_row_tokens, task))


def is_exchange(example: Example) -> bool:
    """Whether a conversation can stand as an example on Ollama: question first, answer last, no empty turn."""
    turns = example.messages
    if turns and turns[0].role == Role.SYSTEM:
        turns = turns[1:]
    return (
        bool(turns)
        and turns[0].role == Role.USER
        and turns[-1].role == Role.ASSISTANT
        and all(turn.role != Role.SYSTEM and turn.content.strip() for turn in turns)
    )


def note(text: str) -> None:
    """Tells the user something while the method runs. What explains a choice belongs in the notes."""
    diagnostics.note(diagnostics.Level.INFO, text)


def warn(text: str) -> None:
    """Warns the user of something worth acting on."""
    diagnostics.note(diagnostics.Level.WARNING, text)
