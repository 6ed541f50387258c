"""My Method: puts a few examples of the largest task into the prompt."""

import tunesmith
from tunesmith import Descriptor, Job, guarded
from wit_world import exports
from wit_world.exports.ollama import OllamaConfig, Shot_Row
from wit_world.exports.openai import OpenaiConfig

DOCS = """Puts rows of the task with the most conversations in front of every question: at most `examples`, as
far as half of the context window holds them. On OpenAI it trains with half of the service's learning rate."""


class Method(exports.Method):
    @guarded
    def describe(self) -> Descriptor:
        return Descriptor(
            id="my-method",
            version="0.1.0",
            title="My Method",
            summary="Puts a few examples of the largest task into the prompt.",
            docs=DOCS,
            settings=[
                tunesmith.integer(
                    "examples",
                    "At most this many examples; more of them steer more and leave less room.",
                    least=1,
                    most=64,
                    default=8,
                ),
            ],
        )


class Ollama(exports.Ollama):
    @guarded
    def configure(self, job: Job) -> OllamaConfig:
        tunesmith.typed_overview()
        window = tunesmith.given_or(job, "context_window", tunesmith.ASSUMED_CONTEXT_WINDOW)
        # A row's tokens include its system prompt, so that half of the window holds both.
        rows = tunesmith.sample(tunesmith.get(job, "examples"), token_budget=window // 2, task=0)
        rows = [row for row in rows if tunesmith.is_exchange(row.example)]
        if not rows:
            raise tunesmith.refuse_setting(
                "context_window", f"{window} tokens are too few for one conversation; set a larger window"
            )
        [largest] = tunesmith.tasks(1)
        return OllamaConfig(
            system=largest.system or None,
            shots=[Shot_Row(row.id) for row in rows],
            parameters=[
                tunesmith.named("num_ctx", window),
                *tunesmith.given_of(job, "temperature", "seed"),
            ],
            notes=[f"{len(rows)} of {largest.rows} conversations of the largest task are examples."],
        )


class Openai(exports.Openai):
    @guarded
    def configure(self, job: Job) -> OpenaiConfig:
        multiplier = tunesmith.given_or(job, "learning_rate_multiplier", 0.5)
        return OpenaiConfig(
            objective="supervised",
            suffix="my-method",
            hyperparameters=[
                tunesmith.named("learning_rate_multiplier", multiplier),
                *tunesmith.given_of(job, "n_epochs", "batch_size"),
            ],
            notes=[
                "OpenAI chooses the technique; this is a supervised fine-tuning job.",
                *tunesmith.without_effect(job, ["examples"], "on OpenAI"),
            ],
        )
