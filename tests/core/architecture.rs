//! The layers of the design, held by a test: a file uses only its own layer, those to its left, and the leaves.

use std::fs;
use std::path::{Path, PathBuf};

/// From left to right; a later layer may use every earlier one.
const LAYERS: [&str; 6] = ["provider", "cache", "router", "agents", "coordinator", "python"];

/// Usable from everywhere. `transport` is the wire that `provider` and `router` share, `attachment` reads files into
/// messages, `webpage` pages of the web, `aside` does long work out of the way.
const LEAVES: [&str; 9] =
    ["aside", "attachment", "config", "error", "message", "progress", "schema", "transport", "webpage"];

/// What a leaf may use besides leaves: an error lists the attempts that led to it.
const EXCEPTIONS: [(&str, &str); 1] = [("error", "router")];

#[test]
fn a_layer_uses_only_what_is_below_it() {
    let mut faults = Vec::new();
    for file in sources(Path::new("src")) {
        let module = top_module(&file);
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            if used != module && !is_allowed(&module, &used) {
                faults.push(format!("{} uses crate::{used}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_bindings_know_python() {
    let faults: Vec<_> = sources(Path::new("src"))
        .into_iter()
        .filter(|file| !file.starts_with("src/python"))
        .filter(|file| code(&fs::read_to_string(file).unwrap()).any(|line| line.contains("pyo3")))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn the_environment_is_read_in_one_place_and_never_written() {
    for file in sources(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let reads = code(&text).filter(|line| line.contains("env::var")).count();
        let allowed = usize::from(file.ends_with("config.rs") && !file.starts_with("src/python"));
        assert!(reads <= allowed, "{} reads the environment", file.display());
        assert!(!code(&text).any(|line| line.contains("set_var") || line.contains("remove_var")), "{}", file.display());
    }
    for file in files(Path::new("python"), "py") {
        let text = fs::read_to_string(&file).unwrap();
        for mark in ["os.environ", "os.getenv", "os.putenv", "from os import environ"] {
            assert!(!text.contains(mark), "{} uses {mark}", file.display());
        }
    }
}

fn is_allowed(module: &str, used: &str) -> bool {
    let place = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    match (place(module), place(used)) {
        _ if EXCEPTIONS.contains(&(module, used)) => true,
        (Some(own), Some(other)) => other < own,
        // The mock provider answers with the simulator's samples, and the bindings hand the simulator on.
        (Some(_), None) => LEAVES.contains(&used) || (["provider", "python"].contains(&module) && used == "simulator"),
        (None, Some(_)) => module == "lib",
        (None, None) => LEAVES.contains(&used) || module == "lib",
    }
}

/// The modules that `text` names as `crate::module`.
fn used_modules(text: &str) -> Vec<String> {
    code(text)
        .flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>())
        .map(|rest| rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect::<String>())
        .filter(|name| name.chars().next().is_some_and(char::is_lowercase))
        .collect()
}

/// The lines that are no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn top_module(file: &Path) -> String {
    let inside = file.strip_prefix("src").unwrap();
    inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found
}
