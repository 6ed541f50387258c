// My Method: bakes a few examples of the largest task into the prompt.
import {
  ASSUMED_CONTEXT_WINDOW, get, givenOf, givenOr, isExchange, named, plugin, refuse, row, sample, setting,
  tasks, typedOverview, value, withoutEffect,
} from "../sdk/tunesmith.js";

function describe() {
  return {
    id: "my-method",
    version: "0.1.0",
    title: "My Method",
    summary: "Bakes a few examples of the largest task into the prompt.",
    docs: `Takes rows of the task with the most conversations, as many as \`examples\` says and half of the
context window holds, and puts them in front of every question. On OpenAI it trains at half of the service's
own learning rate.`,
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
    refuse.setting("context_window", `${window} tokens do not hold one conversation; give a larger one`);
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
      "OpenAI chooses the technique itself; this becomes a supervised job.",
      ...withoutEffect(job, ["examples"], "on OpenAI"),
    ],
  };
}

export const { method, ollama, openai } = plugin({ describe, ollama: configureOllama, openai: configureOpenai });
