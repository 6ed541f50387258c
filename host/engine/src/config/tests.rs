use super::keys::find;
use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tunesmith_core::ProviderId;
use tunesmith_core::failure::Advice;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn with(text: &str) -> Self {
        let home = Self::new();
        let path = home.config();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        home
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join(".config/tunesmith/config.toml")
    }

    fn environment(&self, more: &[(&str, &str)]) -> Environment {
        let home = ("HOME", self.dir.path().to_str().unwrap());
        std::iter::once(home).chain(more.iter().copied()).collect()
    }

    fn load(&self, variables: &[(&str, &str)], flags: &[FlagValue]) -> Result<Config, ConfigErrors> {
        Config::load(&self.environment(variables), None, flags)
    }

    /// What is said, without the machine's own paths.
    fn said(&self, variables: &[(&str, &str)]) -> String {
        let error = tunesmith_core::failure::Failure::from(self.load(variables, &[]).unwrap_err());
        assert_eq!(error.kind().exit_code(), 3);
        let advice: Vec<String> = error.advice.iter().map(|advice| format!("\n{advice:?}")).collect();
        self.neutral(&format!("{error}{}", advice.concat()))
    }

    fn neutral(&self, text: &str) -> String {
        text.replace(self.dir.path().to_str().unwrap(), "HOME")
    }

    fn shown(&self, config: &Config) -> String {
        let lines = config.effective().into_iter().map(|value| {
            let text = value.value.unwrap_or_else(|| "-".to_owned());
            let note = value.note.map(|note| format!(" ({note})")).unwrap_or_default();
            format!("{} = {text}{note} [{}]", value.key, value.origin)
        });
        self.neutral(&lines.collect::<Vec<_>>().join("\n"))
    }
}

fn flag(key: &'static str, text: &str, flag: &'static str) -> FlagValue {
    FlagValue { key, text: text.to_owned(), flag }
}

#[test]
fn without_a_file_the_defaults_hold() {
    let home = Home::new();
    let config = home.load(&[], &[]).unwrap();
    assert!(!config.exists);
    assert_eq!(config.openai.endpoint.to_string(), Endpoint::OPENAI);
    assert_eq!(
        config.openai.timeouts,
        Timeouts::default(),
        "the client's own defaults are the documented ones"
    );
    assert_eq!(config.openai.rate, Some(Rate { per_second: 5.0, burst: 10 }));
    assert_eq!(config.limits, LimitOverrides::default());
    insta::assert_snapshot!(home.shown(&config));
}

#[test]
fn the_default_text_changes_nothing_and_every_example_in_it_is_valid() {
    let text = default_text();
    insta::assert_snapshot!(text);
    let home = Home::with(&text);
    let config = home.load(&[], &[]).unwrap();
    assert!(config.effective().iter().all(|value| value.origin == "default"));

    let examples: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(example) if example.split_once(" = ").is_some_and(|(name, _)| !name.contains(' ')) => {
                example
            }
            _ => line,
        })
        .map(|line| line.replace('…', "x") + "\n")
        .collect();
    let home = Home::with(&examples);
    let config = home.load(&[], &[]).unwrap();
    assert!(
        config.effective().iter().all(|value| value.origin.contains("config.toml:")),
        "{}",
        home.shown(&config)
    );
}

#[test]
fn a_flag_is_stronger_than_a_variable_than_the_file() {
    let home = Home::with("[openai]\nbase_url = \"https://file.example/v1\"\nproject = \"p\"\n");
    let host = |variables: &[(&str, &str)], flags: &[FlagValue]| {
        let config = home.load(variables, flags).unwrap();
        let shown = config.effective().into_iter().find(|value| value.key == "openai.base_url").unwrap();
        (config.openai.endpoint.host(), home.neutral(&shown.origin))
    };
    let shared = ("OPENAI_BASE_URL", "https://shared.example/v1/");
    let own = ("TUNESMITH_OPENAI_BASE_URL", "https://own.example/v1");
    let given = flag("openai.base_url", "https://flag.example", "--base-url");
    let pair = |host: &str, origin: &str| (host.to_owned(), origin.to_owned());
    assert_eq!(host(&[], &[]), pair("file.example", "HOME/.config/tunesmith/config.toml:2"));
    assert_eq!(host(&[shared], &[]), pair("shared.example", "$OPENAI_BASE_URL"));
    assert_eq!(host(&[shared, own], &[]), pair("own.example", "$TUNESMITH_OPENAI_BASE_URL"));
    assert_eq!(host(&[shared, own], &[given]), pair("flag.example", "--base-url"));
    assert_eq!(host(&[("OPENAI_BASE_URL", "")], &[]).0, "file.example", "an empty variable is not set");
}

#[test]
fn every_section_is_read() {
    let home = Home::with(
        "[directories]\ndata = '~/data'\ncache = 'cache'\nplugins = '/plugins'\n\
         [openai]\nbase_url = 'http://gpu.example:8000/v1'\nallow_http = true\norganization = 'org-1'\n\
         key_file = 'openai.key'\nrequests_per_second = 0.5\nresponse_timeout = 30\n\
         [ollama]\nhost = '0.0.0.0:99'\n\
         [limits]\nmemory = '32 MiB'\nfuel = 2_000_000\nplan_deadline = 3\ncalls = 2\nfile = 1048576\n",
    );
    let config = home.load(&[], &[]).unwrap();
    let path = |path: &Path| home.neutral(&path.display().to_string());
    assert_eq!(path(&config.directories.data), "HOME/data");
    assert_eq!(path(&config.directories.datasets), "HOME/data/datasets");
    assert_eq!(path(&config.directories.cache), "HOME/.config/tunesmith/cache");
    assert_eq!(path(&config.directories.plugins), "/plugins");
    assert_eq!(path(config.openai.key_file.as_deref().unwrap()), "HOME/.config/tunesmith/openai.key");
    assert_eq!(config.openai.endpoint.to_string(), "http://gpu.example:8000/v1");
    assert_eq!(config.openai.organization.as_deref(), Some("org-1"));
    assert_eq!(config.openai.rate, Some(Rate { per_second: 0.5, burst: 1 }));
    assert_eq!(config.openai.timeouts.response, Some(Duration::from_secs(30)));
    assert_eq!(config.ollama.endpoint.to_string(), "http://127.0.0.1:99");
    let limits = LimitOverrides {
        memory: Some(32 << 20),
        fuel: Some(2_000_000),
        plan_deadline: Some(Duration::from_secs(3)),
        calls: Some(2),
        file: Some(1 << 20),
        ..LimitOverrides::default()
    };
    assert_eq!(config.limits, limits);
}

#[test]
fn a_service_on_this_machine_has_no_pace_unless_one_is_set() {
    let local = ("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1");
    let rate = |more: &[(&str, &str)]| Home::new().load(&[&[local], more].concat(), &[]).unwrap().openai.rate;
    assert_eq!(rate(&[]), None);
    assert_eq!(
        rate(&[("TUNESMITH_OPENAI_REQUESTS_PER_SECOND", "2")]),
        Some(Rate { per_second: 2.0, burst: 4 })
    );
    assert_eq!(rate(&[("TUNESMITH_OPENAI_REQUESTS_PER_SECOND", "0")]), None);
}

#[test]
fn the_xdg_variables_move_everything_and_relative_ones_are_passed_over() {
    let home = Home::new();
    let moved = [
        ("XDG_CONFIG_HOME", "/c"),
        ("XDG_DATA_HOME", "/d"),
        ("XDG_CACHE_HOME", "/e"),
        ("XDG_STATE_HOME", "relative"),
    ];
    let config = home.load(&moved, &[]).unwrap();
    assert_eq!(config.path, Path::new("/c/tunesmith/config.toml"));
    assert_eq!(config.directories.data, Path::new("/d/tunesmith"));
    assert_eq!(config.directories.plugins, Path::new("/d/tunesmith/plugins"));
    assert_eq!(config.directories.cache, Path::new("/e/tunesmith"));
    assert_eq!(config.directories.state, home.dir.path().join(".local/state/tunesmith"));
}

#[test]
fn every_fault_is_reported_with_its_place() {
    let home = Home::with(
        "datasets = 'x'\n\
         [openai]\n\
         base_ulr = 'https://example.com'\n\
         response_timeout = '10'\n\
         connect_timeout = 0\n\
         organization = \"a b\"\n\
         host = 'x'\n\
         requests_per_second = nan\n\
         [limts]\n\
         memory = 1\n\
         [limits]\n\
         memory = '1 GB'\n\
         fuel = -5\n\
         calls = 99999\n\
         file = 1\n\
         wibble = { a = 1 }\n",
    );
    insta::assert_snapshot!(home.said(&[("TUNESMITH_OLLAMA_CONNECT_TIMEOUT", "soon")]));
}

#[test]
fn syntax_errors_have_line_and_column_and_show_nothing_of_the_file() {
    for (text, place) in [
        ("[openai]\nbase_url = https://example.com\n", "2:12"),
        ("[openai]\nkey = 'sk-0123456789abcdef\n", "2:"),
        ("[openai]\nproject = 'a'\nproject = 'b'\n", "3:1"),
        ("[openai\n", "1:8"),
    ] {
        let said = Home::with(text).said(&[]);
        assert!(said.starts_with(&format!("HOME/.config/tunesmith/config.toml:{place}")), "{said}");
        assert!(!said.contains("sk-"), "{said}");
    }
    let home = Home::new();
    let path = home.dir.path().join("latin1.toml");
    fs::write(&path, b"[openai]\n# caf\xe9\n").unwrap();
    let error = Config::load(&home.environment(&[]), Some(&path), &[]).unwrap_err();
    assert_eq!(home.neutral(&error.to_string()), "HOME/latin1.toml:2:6: not UTF-8");
}

#[test]
fn a_secret_in_the_configuration_is_refused_and_not_shown() {
    for text in [
        "[openai]\napi_key = 'hunter2secret'\n",
        "[openai]\nkey = 'hunter2secret'\n",
        "api_key = 'hunter2secret'\n",
        "OPENAI_API_KEY = 'hunter2secret'\n",
        "[open_ai]\ntoken = 'hunter2secret'\n",
        "[openai]\norganization = 'sk-hunter2secret0123456789'\n",
        "[openai]\nkey_file = 'sk-hunter2secret0123456789'\n",
        "[openai]\nbase_url = 'https://user:hunter2secret@example.com'\n",
    ] {
        let home = Home::with(text);
        let said = home.said(&[]);
        assert!(!said.contains("hunter2"), "{said}");
        assert!(!format!("{:?}", home.load(&[], &[]).unwrap_err()).contains("hunter2"), "{text}");
        assert!(said.contains("SetKey"), "{said}");
    }
    let home = Home::with("[openai]\napi_key = 'hunter2secret'\n");
    insta::assert_snapshot!(home.said(&[]));
}

#[test]
fn a_named_file_must_be_there_and_a_file_open_to_anyone_is_refused() {
    let home = Home::new();
    let named = [("TUNESMITH_CONFIG", home.dir.path().join("none.toml").display().to_string())];
    let named: Vec<(&str, &str)> = named.iter().map(|(name, text)| (*name, text.as_str())).collect();
    insta::assert_snapshot!(home.said(&named), @r"
    HOME/none.toml: there is no such file
    WriteConfig
    ");
    let home = Home::with("");
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o666)).unwrap();
    insta::assert_snapshot!(home.said(&[]), @r#"
    HOME/.config/tunesmith/config.toml: has mode 0666: anyone can write to it, and with it choose where your key is sent
    RestrictAccess { path: "HOME/.config/tunesmith/config.toml", mode: "o-w" }
    "#);
    let home = Home::with(&"#\n".repeat(1 << 20));
    assert!(home.said(&[]).contains("is larger than 1 MiB"));
    let dir = tempfile::tempdir().unwrap();
    let error = Config::load(&home.environment(&[]), Some(dir.path()), &[]).unwrap_err();
    assert!(error.to_string().ends_with("is a directory, not a regular file"), "{error}");
}

#[test]
fn a_rule_of_the_policy_remembers_its_line_and_none_is_lost() {
    let home = Home::with(
        "[policy]\nproviders = [\"ollama\"]\nbase_models = [\"llama3*\"]\ntiers = [\"pure\"]\n\
         plugin_digests = [\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]\n\
         largest_dataset = \"1 MiB\"\nmost_rows = 10\nhighest_cost = 5\nlargest_context = 8_192\n\
         longest_answer = 512\noverride_built_ins = true\n",
    );
    let config = home.load(&[], &[]).unwrap();
    let policy = &config.policy;
    let places = [
        policy.providers.as_ref().map(|rule| &rule.place),
        policy.base_models.as_ref().map(|rule| &rule.place),
        policy.tiers.as_ref().map(|rule| &rule.place),
        policy.plugin_digests.as_ref().map(|rule| &rule.place),
        policy.largest_dataset.as_ref().map(|rule| &rule.place),
        policy.most_rows.as_ref().map(|rule| &rule.place),
        policy.highest_cost.as_ref().map(|rule| &rule.place),
        policy.largest_context.as_ref().map(|rule| &rule.place),
        policy.longest_answer.as_ref().map(|rule| &rule.place),
    ];
    assert_eq!(places.len(), policy::Name::ALL.len());
    for (line, place) in places.into_iter().enumerate() {
        let place = home.neutral(place.unwrap());
        assert_eq!(place, format!("HOME/.config/tunesmith/config.toml:{}", line + 2));
    }
    assert!(policy.overrides_built_ins());
    for name in policy::Name::ALL {
        assert!(find(name.key()).is_some(), "{}", name.key());
    }
    let none = Home::new().load(&[], &[]).unwrap();
    assert_eq!(none.policy, Policy::default());
    let from_variable = home.load(&[("TUNESMITH_POLICY_PROVIDERS", "openai, local")], &[]).unwrap();
    let rule = from_variable.policy.providers.unwrap();
    assert_eq!(rule.allows, [ProviderId::OpenAi, ProviderId::Local]);
    assert_eq!(rule.place, "$TUNESMITH_POLICY_PROVIDERS");
}

#[test]
fn what_a_rule_of_the_policy_cannot_be_is_refused() {
    let said = Home::with(
        "[policy]\nproviders = [\"olama\"]\nbase_models = [\"\"]\ntiers = \"pure\"\nplugin_digests = [\"sha256:12\"]\n\
         most_rows = 0\nhighest_cost = -1\nlargest_context = \"8k\"\nlongest_anser = 5\n",
    )
    .said(&[]);
    insta::assert_snapshot!(said);
}

#[test]
fn without_a_home_the_fix_is_named() {
    let error = Config::load(&Environment::default(), None, &[]).unwrap_err();
    let error = tunesmith_core::failure::Failure::from(error);
    assert_eq!(error.advice, [Advice::SetHome { variable: "XDG_CONFIG_HOME".into() }]);
}

#[test]
fn a_relative_path_in_a_variable_is_refused() {
    for name in ["TUNESMITH_CACHE_DIR", "TUNESMITH_DIRECTORIES_DATA", "TUNESMITH_OPENAI_KEY_FILE"] {
        let said = Home::new().said(&[(name, "some/where")]);
        let expected = format!(
            "the variable {name}: `some/where` is a relative path, which would mean another place in each \
             directory\nText {{ text: \"give an absolute path\" }}"
        );
        assert_eq!(said, expected);
    }
}

#[test]
fn a_misspelt_variable_is_pointed_out() {
    let variables = [("TUNESMITH_OPENAI_BASEURL", "https://example.com"), ("TUNESMITH_FAILPOINTS", "x")];
    let config = Home::new().load(&variables, &[]).unwrap();
    assert_eq!(
        config.warnings,
        ["the variable TUNESMITH_OPENAI_BASEURL means nothing here; did you mean TUNESMITH_OPENAI_BASE_URL?"]
    );
}

#[test]
fn plain_http_to_another_machine_names_the_variable_and_the_fix() {
    let said = Home::new().said(&[("OPENAI_BASE_URL", "http://gpu.example/v1")]);
    insta::assert_snapshot!(said);
}

#[test]
fn the_key_comes_from_the_variable_or_the_file_and_a_flag_decides() {
    let home = Home::with("[openai]\nkey_file = 'openai.key'\n");
    let file = home.config().with_file_name("openai.key");
    fs::write(&file, "sk-from-file\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let key = |variables: &[(&str, &str)], flags: &[FlagValue]| {
        let config = home.load(variables, flags).unwrap();
        let debug = format!("{config:?}");
        assert!(!debug.contains("sk-from"), "{debug}");
        config.openai_key().unwrap().map(|found| found.secret.expose().to_owned())
    };
    let variable = ("OPENAI_API_KEY", "sk-from-variable");
    let named = flag("openai.key_file", file.to_str().unwrap(), "--key-file");
    assert_eq!(key(&[], &[]).as_deref(), Some("sk-from-file"));
    assert_eq!(key(&[variable], &[]).as_deref(), Some("sk-from-variable"));
    assert_eq!(key(&[variable], &[named]).as_deref(), Some("sk-from-file"));
    assert!(Home::new().load(&[], &[]).unwrap().openai_key().unwrap().is_none());
}
