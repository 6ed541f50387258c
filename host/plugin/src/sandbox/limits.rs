//! Every limit of the sandbox, in one place, each with its reason.

use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What a plugin may use. One value serves the whole program: the defaults hold
/// for every plugin alike, and the operator's configuration may override them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory in bytes, over all memories of one call; of `transform` also that in
    /// which the host hands the batch over, 2 MiB or more. 64 MiB: the heaviest guest
    /// measured, a Python interpreter, peaks at 13 MB.
    pub memory: u64,
    /// Fuel for one call: about one unit an instruction, the same on every
    /// machine. 1e9: 180 times what the heaviest measured plan takes (QuickJS,
    /// StarlingMonkey and Python: 1 to 5 million), and about a second of work at most.
    pub fuel: u64,
    /// Wall clock for `describe`. 2 s: an honest one takes 0.04 to 2 ms.
    pub describe_deadline: Duration,
    /// Wall clock for a planning call, its host calls included. 10 s: an honest one
    /// takes milliseconds, and a person waits for it.
    pub plan_deadline: Duration,
    /// Wall clock for one batch of `transform`. 10 s: a batch of 1 MiB takes 1 to
    /// 2 ms in Rust (measured: trimmed) and 310 ms in Python (8,800 short rows, redacted).
    pub transform_deadline: Duration,
    /// Wall clock of all calls of one engine together. None: a program that runs for
    /// days makes calls without end. Vetting sets one, so that a plugin which stays
    /// just within each deadline is stopped as well.
    pub total: Option<Duration>,
    /// How long after its deadline a call may still be inside a host function
    /// before the host stops waiting for its thread. 250 ms: several epoch ticks,
    /// also on a busy machine.
    pub grace: Duration,
    /// Bytes that one crossing may copy from a planning plugin to the host, as the
    /// host stores them. 4 MiB: a config that fills a context of a million tokens.
    pub host_call_bytes: u64,
    /// The same for `transform`, whose batches carry whole conversations. 64 MiB:
    /// as much as its memory can hold.
    pub transform_call_bytes: u64,
    /// Calls to `dataset` and `diagnostics` in one call. 10,000: one for each task
    /// of a very mixed dataset; host time is not metered by fuel, so that endless
    /// cheap calls need a bound of their own.
    pub host_calls: u32,
    /// Rows that one `dataset.sample` returns at most. 10,000: more than fit into
    /// any model's context.
    pub rows_per_sample: u32,
    /// Tokens in the rows of one `dataset.sample`. 2 million: the largest context
    /// that a model offers.
    pub tokens_per_sample: u32,
    /// Tasks that one `dataset.tasks` returns at most. 1,000: beyond that, tasks
    /// are single rows rather than tasks.
    pub tasks_per_call: u32,
    /// Bytes of text in one answer of `dataset`; what does not fit is left out.
    /// 16 MiB: a quarter of the memory that has to hold it.
    pub bytes_per_answer: u64,
    /// Live component handles, and live host resources. 256: a runtime holds its
    /// three standard streams and a few pollables.
    pub handles: usize,
    /// Stack of WebAssembly frames in bytes, wasmtime's own default. 512 KiB: Python
    /// and QuickJS work within it.
    pub stack: usize,
    /// Table elements in one call, over all tables. 100,000: Python's tables have
    /// about 20,000.
    pub table_elements: usize,
    /// Core instances in one call. 1,000: a Python component has about 40, with one
    /// for each extension module and adapter.
    pub instances: usize,
    /// Tables and memories in one call, each. 200: one for each instance that has
    /// its own, and Python has about ten.
    pub tables_and_memories: usize,
    /// What a plugin returns.
    pub results: ResultLimits,
    /// The descriptor.
    pub descriptor: DescriptorLimits,
    /// Notes through `diagnostics` in one call. 64: more would not be read.
    pub diagnostics: u32,
    /// Bytes of one such note, or of a panic's text; what is longer is cut. 4 KiB: a
    /// screenful.
    pub diagnostic_bytes: usize,
    /// Bytes that a plugin may print in one call. 1 MiB: enough for a traceback or
    /// a trace, and not for a log.
    pub output: usize,
    /// Bytes of that, from the end, that an error shows. 4 KiB: a screenful.
    pub output_tail: usize,
    /// Calls at a time, over all plugins. 16: a thread each, and on few cores more
    /// would only wait for one another.
    pub calls: usize,
    /// Calls at a time of one plugin. 4: so that one slow plugin leaves places to
    /// the others.
    pub calls_per_plugin: usize,
    /// How long a call waits for a place. 30 s: three full planning deadlines.
    pub queue_wait: Duration,
    /// Size of a plugin file in bytes. 64 MiB: a Python component has 18 MB, one
    /// with extension modules twice that.
    pub file: u64,
    pub structure: StructureLimits,
    /// The process that compiles a file.
    pub compile: CompileLimits,
    /// Size of the store of compiled code in bytes; the oldest entries go first.
    /// 1 GiB: two dozen Python components.
    pub code_store: u64,
}

/// What a plugin may return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultLimits {
    /// Examples in an Ollama config. 10,000: more than fit into any context.
    pub shots: usize,
    /// Notes in a config. 64: more would not be read.
    pub notes: usize,
    /// Bytes of one note. 4 KiB: a screenful.
    pub note_bytes: usize,
    /// Parameters, hyperparameters or settings. 64: the providers' lists have 30.
    pub settings: usize,
    /// Texts in a list. 1,024: no setting of any technique lists more modules.
    pub list: usize,
    /// Bytes of a name, such as a technique or an objective. 64.
    pub name_bytes: usize,
    /// Bytes of one text value, of a system prompt or of a written message. 1 MiB:
    /// a context of 250,000 tokens.
    pub text_bytes: usize,
    /// Bytes of a refusal's reason; what is longer is cut. 4 KiB: a screenful.
    pub reason_bytes: usize,
}

/// What a plugin may say of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptorLimits {
    /// Bytes of a version. 64: a semantic version with build data.
    pub version: usize,
    /// Bytes of a title. 120: one line.
    pub title: usize,
    /// Bytes of a summary. 600: a few sentences in any script.
    pub summary: usize,
    /// Bytes of the docs. 64 KiB: a long page of Markdown.
    pub docs: usize,
    /// Settings. 64: more would confuse users.
    pub settings: usize,
    /// Bytes of a setting's documentation. 4 KiB: a screenful.
    pub setting_doc: usize,
    /// Choices of a setting. 64: as many as settings.
    pub choices: usize,
    /// Bytes of a choice. 256: a model's name.
    pub choice: usize,
}

/// The structure of a file, checked before anything is decoded or compiled. All
/// counts are over the whole file, nested modules and components included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureLimits {
    /// Nesting of components and modules. 8: toolchains nest three deep.
    pub depth: usize,
    /// Core modules. 500: Python has about 40.
    pub modules: u32,
    /// Components. 500.
    pub components: u32,
    /// Functions. 200,000: StarlingMonkey and Python have 15,000 to 30,000.
    pub functions: u32,
    /// Bytes of one function's body. 1 MiB: Cranelift's time grows faster than a
    /// body's size (73 KB took 3.7 s, 4.4 MB over two minutes), and the largest
    /// honest ones, interpreters' main loops, have about 150 KB.
    pub body: usize,
    /// Locals of one function. 20,000: unoptimised C has thousands.
    pub locals: u32,
    /// Entries of type sections. 100,000: Python has about 5,000.
    pub types: u32,
    /// Imports. 20,000: Python's modules import each other's symbols, some 5,000.
    pub imports: u32,
    /// Exports. 50,000.
    pub exports: u32,
    /// Globals. 100,000.
    pub globals: u32,
    /// Element and data segments. 100,000.
    pub segments: u32,
    /// Aliases, instances and canonical functions. 100,000.
    pub wiring: u32,
}

/// The process that encodes and compiles a foreign file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time over all its threads. 240 s: a Python component takes about 50 s in
    /// a release build, and a plain build of the host is some times slower.
    pub cpu: Duration,
    /// Address space in bytes. 3 GiB: a Python component takes 340 MB, to which
    /// come what threads and the allocator reserve and do not use.
    pub memory: u64,
    /// Wall clock. 15 min: the CPU time on a machine that has a dozen other things to
    /// do (measured: a Python component took over 5 min where it had a twelfth of two
    /// cores). It stops a worker that waits; one that works is stopped by CPU time.
    pub wall: Duration,
    /// Bytes of compiled code. 512 MiB: code is two to three times its source.
    pub output: u64,
    /// Threads. 4: shortens the wait, and bounds what they reserve.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 * MIB,
            fuel: 1_000_000_000,
            describe_deadline: Duration::from_secs(2),
            plan_deadline: Duration::from_secs(10),
            transform_deadline: Duration::from_secs(10),
            total: None,
            grace: Duration::from_millis(250),
            host_call_bytes: 4 * MIB,
            transform_call_bytes: 64 * MIB,
            host_calls: 10_000,
            rows_per_sample: 10_000,
            tokens_per_sample: 2_000_000,
            tasks_per_call: 1_000,
            bytes_per_answer: 16 * MIB,
            handles: 256,
            stack: 512 * KIB as usize,
            table_elements: 100_000,
            instances: 1_000,
            tables_and_memories: 200,
            results: ResultLimits::default(),
            descriptor: DescriptorLimits::default(),
            diagnostics: 64,
            diagnostic_bytes: 4 * KIB as usize,
            output: MIB as usize,
            output_tail: 4 * KIB as usize,
            calls: 16,
            calls_per_plugin: 4,
            queue_wait: Duration::from_secs(30),
            file: 64 * MIB,
            structure: StructureLimits::default(),
            compile: CompileLimits::default(),
            code_store: 1024 * MIB,
        }
    }
}

impl Default for ResultLimits {
    fn default() -> Self {
        Self {
            shots: 10_000,
            notes: 64,
            note_bytes: 4 * KIB as usize,
            settings: 64,
            list: 1_024,
            name_bytes: 64,
            text_bytes: MIB as usize,
            reason_bytes: 4 * KIB as usize,
        }
    }
}

impl Default for DescriptorLimits {
    fn default() -> Self {
        Self {
            version: 64,
            title: 120,
            summary: 600,
            docs: 64 * KIB as usize,
            settings: 64,
            setting_doc: 4 * KIB as usize,
            choices: 64,
            choice: 256,
        }
    }
}

impl Default for StructureLimits {
    fn default() -> Self {
        Self {
            depth: 8,
            modules: 500,
            components: 500,
            functions: 200_000,
            body: MIB as usize,
            locals: 20_000,
            types: 100_000,
            imports: 20_000,
            exports: 50_000,
            globals: 100_000,
            segments: 100_000,
            wiring: 100_000,
        }
    }
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(240),
            memory: 3 * 1024 * MIB,
            wall: Duration::from_secs(900),
            output: 512 * MIB,
            threads: 4,
        }
    }
}
