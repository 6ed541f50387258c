// My Method: puts a few examples of the largest task into the prompt.
import {
  ASSUMED_CONTEXT_WINDOW, get, givenOf, givenOr, isExchange, named, plugin, refuse, row, sample, setting,
  tasks, typedOverview, value, withoutEffect,
} from "../sdk/tunesmith.js";

function describe() {
  return {
    id: "my-method",
    version: "0.1.0",
    title: "My Method",
    summary: "Puts a few examples of the largest task into the prompt.",
    docs: `Puts rows of the task with the most conversations in front of every question: at most \`examples\`, as
far as half of the context window holds them. On OpenAI it trains with half of the service's learning rate.`,
    settings: [
      setting.integer("examples", {
        least: 1, most: 64, default: 8, doc: "At most this many examples; more of them steer more and leave less room.",
      }),
    ],
  };
}

function configureOllama(job) {
  typedOverview();
  const window = givenOr(job, "context_window", ASSUMED_CONTEXT_WINDOW);
  // A row's tokens include its system prompt, so that half of the window holds both.
  const chosen = sample({ count: get(job, "examples"), tokenBudget: Math.floor(window / 2), task: 0 })
    .filter(({ example }) => isExchange(example));
  if (chosen.length === 0) {
    refuse.setting("context_window", `${window} tokens are too few for one conversation; set a larger window`);
  }
  const [largest] = tasks(1);
  return {
    system: largest.system || null,
    shots: chosen.map(row),
    parameters: [named("num_ctx", value.integer(window)), ...givenOf(job, "temperature", "seed")],
    notes: [`${chosen.length} of ${largest.rows} conversations of the largest task are examples.`],
  };
}

function configureOpenai(job) {
  return {
    suffix: "my-method",
    hyperparameters: [
      named("learning_rate_multiplier", value.number(givenOr(job, "learning_rate_multiplier", 0.5))),
      ...givenOf(job, "n_epochs", "batch_size"),
    ],
    notes: [
      "OpenAI chooses the technique; this is a supervised fine-tuning job.",
      ...withoutEffect(job, ["examples"], "on OpenAI"),
    ],
  };
}

export const { method, ollama, openai } = plugin({ describe, ollama: configureOllama, openai: configureOpenai });
