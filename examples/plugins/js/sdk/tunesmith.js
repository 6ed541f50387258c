// What a method for tunesmith needs of the contract, in JavaScript's own terms.
//
// The contract itself is wit/deps/tunesmith-method; its documentation holds here. Names
// are in camelCase, variants are { tag, val }, and what is optional may be null.
import dataset from "tunesmith:method/dataset@0.1.0";
import diagnostics from "tunesmith:method/diagnostics@0.1.0";

/** The context window, in tokens, of a job that gives none: Ollama's own default. */
export const ASSUMED_CONTEXT_WINDOW = 4096;

/** At most this many tasks are looked at: more system prompts are not tasks but texts of single rows. */
export const MOST_TASKS = 16;

/**
 * Wraps a method's functions for export, so that a refusal reaches the user as it is, and an
 * error with its text and place:
 *
 *     export const { method, ollama } = plugin({ describe, ollama: (job) => ({ … }) });
 *
 * Export exactly the abilities that wit/world.wit names.
 */
export function plugin({ describe, ollama, openai, training, transform }) {
  return {
    method: { describe: guarded(() => ({ docs: "", settings: [], ...describe() })) },
    ollama: ollama && {
      configure: guarded((job) => ({ system: null, shots: [], parameters: [], notes: [], ...ollama(job) })),
    },
    openai: openai && {
      configure: guarded((job) => ({
        objective: "supervised", suffix: null, hyperparameters: [], notes: [], ...openai(job),
      })),
    },
    training: training && {
      plan: guarded((job) => ({ settings: [], notes: [], ...training(job) })),
    },
    // `transform` is asked for each conversation: it gives one in its place, or null to drop it.
    transform: transform && {
      apply: guarded((job, batch) => batch.map((example) => transform(job, example))),
    },
  };
}

function guarded(call) {
  return (...given) => {
    try {
      return call(...given);
    } catch (error) {
      if (error instanceof Refusal) throw error.variant;
      // A plugin has no console: the host shows this as the reason of the failure.
      diagnostics.panicked(`${error}\n${error?.stack ?? ""}`.trim());
      throw error;
    }
  };
}

class Refusal extends Error {
  constructor(tag, val) {
    super(tag);
    this.variant = { tag, val };
  }
}

/** Declines a job. The host shows the reason to the user as it is. */
export const refuse = {
  /** For a setting's value: say which values would do. */
  setting: (name, reason) => { throw new Refusal("invalid-setting", { name, reason }); },
  /** For the dataset: say what is missing, and what would do. */
  dataset: (reason) => { throw new Refusal("unsuitable-dataset", reason); },
  /** For what the method cannot do on this provider. */
  unsupported: (reason) => { throw new Refusal("unsupported", reason); },
  /** For anything else, in words that the user can act on. */
  other: (reason) => { throw new Refusal("other", reason); },
};

/** Values of settings, as the contract has them. */
export const value = {
  flag: (val) => ({ tag: "flag", val }),
  integer: (val) => ({ tag: "integer", val }),
  number: (val) => ({ tag: "number", val }),
  text: (val) => ({ tag: "text", val }),
  texts: (val) => ({ tag: "texts", val }),
};

/** Settings that a method declares: setting.integer("examples", { least: 1, most: 64, default: 8, doc: "…" }). */
export const setting = {
  flag: (name, of) => declared(name, { tag: "flag" }, "flag", of),
  integer: (name, of) => declared(name, { tag: "integer", val: { least: of.least, most: of.most } }, "integer", of),
  number: (name, of) => declared(name, {
    tag: "number", val: { least: of.least, most: of.most, leastExcluded: of.leastExcluded ?? false },
  }, "number", of),
  text: (name, of) => declared(name, { tag: "text", val: of.mostBytes }, "text", of),
  choice: (name, of) => declared(name, { tag: "choice", val: of.choices }, "text", of),
  texts: (name, of) => declared(name, { tag: "texts", val: of.most }, "texts", of),
};

function declared(name, kind, tag, of) {
  return { name, doc: of.doc, kind, default: of.default === undefined ? null : value[tag](of.default) };
}

/** A named value: a parameter, a hyperparameter, or a setting of a recipe. */
export const named = (name, tagged) => ({ name, value: tagged });

/** The job's setting of this name, given or default; undefined where the job has none. */
export function get(job, name) {
  return job.settings.find((found) => found.name === name)?.value.val;
}

/** Whether the user set this setting; otherwise it is the method's default. */
export function isGiven(job, name) {
  return job.settings.some((found) => found.name === name && found.origin === "given");
}

/** The value if the user set it, otherwise the method's choice. The user always wins. */
export function givenOr(job, name, own) {
  return isGiven(job, name) ? get(job, name) : own;
}

/** The named settings that the user set, as named values. */
export function givenOf(job, ...names) {
  return names.filter((name) => isGiven(job, name))
    .map((name) => named(name, job.settings.find((found) => found.name === name).value));
}

/** A note for each of these settings that the user set although it has no effect, such as "on OpenAI". */
export function withoutEffect(job, names, place) {
  return names.filter((name) => isGiven(job, name)).map((name) => `${name} has no effect ${place}.`);
}

/** The dataset in figures. */
export const overview = () => dataset.describe();

/** The dataset in figures, if it has rows that a method can look at; otherwise it is declined. */
export function typedOverview() {
  const found = overview();
  if (found.rows === 0) refuse.dataset("the dataset has no rows; use one with chat conversations");
  if (found.typedRows === 0) {
    refuse.dataset(`none of the ${found.rows} rows consists of plain texts, which examples are made of`);
  }
  return found;
}

/** The tasks with the most rows first: { system, rows }. */
export const tasks = (most = MOST_TASKS) => dataset.tasks(most);

/** Rows spread over the dataset: { id, tokens, task, example }, within the selection. */
export function sample({ count, tokenBudget = null, longestRowTokens = null, task = null }) {
  return dataset.sample({ count, tokenBudget, longestRowTokens, task });
}

/** Whether a conversation can stand as an example on Ollama: question first, answer last, no empty turn. */
export function isExchange({ messages }) {
  const turns = messages[0]?.role === "system" ? messages.slice(1) : messages;
  return turns.length > 0 && turns[0].role === "user" && turns.at(-1).role === "assistant"
    && turns.every(({ role, content }) => role !== "system" && content.trim() !== "");
}

/** A row of the dataset as an example. */
export const row = ({ id }) => ({ tag: "row", val: id });

/** Tells the user something while the method runs. What explains a choice belongs in the notes. */
export const note = (text) => diagnostics.note("info", text);

/** Warns the user of something worth acting on. */
export const warn = (text) => diagnostics.note("warning", text);
