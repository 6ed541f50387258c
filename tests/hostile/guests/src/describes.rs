//! A method that describes itself wrongly, in the way that a mark in its data says:
//! `describe` takes no argument, so the test writes the way into the built file.
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({
    path: "../../../wit/method",
    inline: "
        package tunesmith:hostile;
        world describes {
            include tunesmith:method/plugin-base@0.1.0;
            export tunesmith:method/ollama@0.1.0;
        }
    ",
    world: "tunesmith:hostile/describes",
    generate_all,
});

use exports::tunesmith::method::method::{Descriptor, IntegerRange, Kind, NumberRange, SettingDoc};
use exports::tunesmith::method::ollama::OllamaConfig;
use tunesmith::method::diagnostics;
use tunesmith::method::types::{Job, Refusal, Value};

/// The mark and, behind it, the way: `tunesmith_hostile::describes` looks for it.
static WAY: [u8; 64] = *b"tunesmith hostile way:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn way() -> String {
    // SAFETY: a reference is valid to read; volatile, so that what is written into
    // the file counts and not what the compiler saw.
    let way = unsafe { std::ptr::read_volatile(&WAY) };
    String::from_utf8_lossy(&way).trim_start_matches("tunesmith hostile way:").replace('\0', "")
}

struct Describes;

fn setting(name: &str, kind: Kind, default: Option<Value>) -> SettingDoc {
    SettingDoc { name: name.into(), doc: "What it means.".into(), kind, default }
}

impl exports::tunesmith::method::method::Guest for Describes {
    fn describe() -> Descriptor {
        std::panic::set_hook(Box::new(|info| diagnostics::panicked(&info.to_string())));
        let mut descriptor = Descriptor {
            id: "describes".into(),
            version: "0.1.0".into(),
            title: "Describes".into(),
            summary: "Describes itself wrongly.".into(),
            docs: String::new(),
            settings: vec![],
        };
        let integer = || Kind::Integer(IntegerRange { least: 1, most: 64 });
        let number = |least, most| Kind::Number(NumberRange { least, most, least_excluded: false });
        let settings = &mut descriptor.settings;
        match way().as_str() {
            "loops" => loop {
                std::hint::black_box(());
            },
            "panics" => panic!("no idea who I am"),
            "huge" => descriptor.docs = "x".repeat(16 << 20),
            "long-docs" => descriptor.docs = "x".repeat(1 << 20),
            "many-settings" => {
                settings.extend((0..1000).map(|n| setting(&format!("s{n}"), Kind::Flag, None)));
            }
            "bad-id" => descriptor.id = "../../lora".into(),
            "terminal-title" => descriptor.title = "\u{1b}]0;owned\u{7}".into(),
            "invalid-utf8" => {
                // SAFETY: none; a text that is not UTF-8 is what this guest is for.
                descriptor.title = unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe, 0xfd]) };
            }
            "reserved-setting" => settings.push(setting("learning_rate", number(0.0, 1.0), None)),
            "twice" => settings.extend([setting("rank", integer(), None), setting("rank", integer(), None)]),
            "default-out-of-range" => settings.push(setting("rank", integer(), Some(Value::Integer(0)))),
            "nan-range" => settings.push(setting("scale", number(f64::NAN, 1.0), None)),
            // Not wrong: other plugins, for the tests of reloading.
            way => {
                if let Some(id) = way.strip_prefix("id=") {
                    descriptor.id = id.into();
                } else if let Some(number) = way.strip_prefix("v=") {
                    descriptor.version = format!("0.1.{number}");
                }
            }
        }
        descriptor
    }
}

impl exports::tunesmith::method::ollama::Guest for Describes {
    fn configure(_: Job) -> Result<OllamaConfig, Refusal> {
        if way() == "ability-traps" {
            core::arch::wasm32::unreachable();
        }
        if way() == "refuses-all" {
            return Err(Refusal::Other("not today".into()));
        }
        let notes = if way().starts_with("v=") { vec![way()] } else { vec![] };
        Ok(OllamaConfig { system: None, shots: vec![], parameters: vec![], notes })
    }
}

export!(Describes);
