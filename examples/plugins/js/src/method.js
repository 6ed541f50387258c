// IA³ (arXiv 2205.05638): learns one factor for each key, value and inner feed-forward
// channel, and nothing else. The smallest of the methods: a model of 8 billion parameters
// gets about half a million new ones.
import {
  ASSUMED_CONTEXT_WINDOW, get, givenOf, givenOr, isExchange, isGiven, named, overview, plugin, refuse, row, sample,
  setting, tasks, typedOverview, value, warn, withoutEffect,
} from "../sdk/tunesmith.js";

/** The paper's learning rate: factors start at one and need large steps. */
const LEARNING_RATE = 3e-3;

/** The paper's batch. */
const BATCH = 8;

/** The paper trains for 1,000 steps whatever the dataset: passes over it follow from its size. */
const STEPS = 1000;

/** More passes than this learn a small dataset by heart. */
const MOST_EPOCHS = 20;

/** So few parameters hold a style or a label set, not the content of a large dataset. */
const MANY_ROWS = 20_000;

/** What a layer can be called, perhaps with its path. */
const LAYER = /^[A-Za-z0-9_.-]{1,96}$/;

const DOCS = `IA³ multiplies keys, values and the inner activations of the feed-forward layers by learned factors.
It adds a hundred times fewer parameters than LoRA, which suits one narrow task with tens to a few
thousand conversations: a tone, a set of labels, a format. It does not teach facts.

The number of passes over the dataset follows from its size, so that training takes about ${STEPS} steps as in the
paper (arXiv 2205.05638); n_epochs overrides it. On Ollama, which cannot train, the plugin puts examples of the
largest task into the prompt and says so.`;

function describe() {
  return {
    id: "ia3",
    version: "1.0.0",
    title: "Infused adapter by inhibiting and amplifying inner activations",
    summary: "Learns factors for inner activations: the fewest parameters, for one narrow task.",
    docs: DOCS,
    settings: [
      setting.texts("ia3_modules", {
        most: 16,
        doc: "Names of the layers to scale, such as k_proj, v_proj and down_proj. The trainer's choice for the model unless given.",
      }),
      setting.integer("ia3_steps", {
        least: 50, most: 20_000, default: STEPS,
        doc: "About how many training steps to take, which decides the passes over the dataset; more fit it closer.",
      }),
    ],
  };
}

function plan(job) {
  const { rows } = overview();
  if (rows === 0) refuse.dataset("there are no conversations to train on");
  if (rows > MANY_ROWS) {
    warn(`${rows} conversations are more than IA³'s few parameters can hold; lora learns more from them`);
  }
  const modules = get(job, "ia3_modules");
  const odd = modules?.find((name) => !LAYER.test(name) || (name === "all-linear" && modules.length > 1));
  if (odd !== undefined) {
    refuse.setting("ia3_modules", `${JSON.stringify(odd.slice(0, 40))} is not a layer's name, such as k_proj`);
  }
  if (modules && new Set(modules).size < modules.length) refuse.setting("ia3_modules", "names a layer twice");
  if (modules && modules.length === 0) {
    refuse.setting("ia3_modules", "is empty; give names of layers, or leave it out for the trainer's choice");
  }
  const batch = givenOr(job, "batch_size", BATCH);
  const wanted = Math.ceil((get(job, "ia3_steps") * batch) / rows);
  const epochs = givenOr(job, "n_epochs", Math.min(Math.max(wanted, 1), MOST_EPOCHS));
  const steps = Math.ceil(rows / batch) * epochs;
  const aim = get(job, "ia3_steps");
  let why = `, near the ${aim} that were aimed at.`;
  if (isGiven(job, "n_epochs")) why = ", as the job asks.";
  else if (wanted > MOST_EPOCHS) {
    why = `; the ${aim} that were aimed at would take ${wanted} passes and learn so few rows by heart.`;
  }
  return {
    technique: "ia3",
    settings: [
      ...(modules ? [named("target_modules", value.texts(modules))] : []),
      named("learning_rate", value.number(givenOr(job, "learning_rate", LEARNING_RATE))),
      named("n_epochs", value.integer(epochs)),
      named("batch_size", value.integer(batch)),
      named("warmup_ratio", value.number(0.06)),
      named("scheduler", value.text("linear")),
    ],
    notes: [
      `${epochs} passes over ${rows} conversations are about ${steps} steps${why}`,
      "Only factors are trained; they can be multiplied into the weights afterwards, so that serving costs nothing.",
    ],
  };
}

function configure(job) {
  typedOverview();
  const window = givenOr(job, "context_window", ASSUMED_CONTEXT_WINDOW);
  // A row's tokens include its system prompt, so that half of the window holds both.
  const chosen = sample({ count: 8, tokenBudget: Math.floor(window / 2), task: 0 })
    .filter(({ example }) => isExchange(example));
  if (chosen.length === 0) {
    refuse.setting("context_window", `${window} tokens are too few for one conversation; set a larger window`);
  }
  const [largest] = tasks(1);
  return {
    system: largest.system || null,
    shots: chosen.map(row),
    parameters: [named("num_ctx", value.integer(window)), ...givenOf(job, "temperature", "seed")],
    notes: [
      "Ollama cannot train or load IA³ factors: the prompt contains examples instead.",
      `${chosen.length} of ${largest.rows} conversations of the largest task are examples.`,
      ...withoutEffect(job, ["ia3_modules", "ia3_steps"], "on Ollama"),
    ],
  };
}

export const { method, ollama, training } = plugin({ describe, ollama: configure, training: plan });
