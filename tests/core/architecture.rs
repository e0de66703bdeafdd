//! The rules of the architecture: the order of the layers, no cycles between modules, and who may use Python or the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers. A layer may use the earlier ones.
const LAYERS: [&str; 6] = ["provider", "cache", "router", "agents", "coordinator", "python"];

/// The modules that every layer may use. They use only each other.
const LEAVES: [&str; 19] = [
    "attachment",
    "attempt",
    "blocking",
    "config",
    "error",
    "error_kind",
    "message",
    "named_enum",
    "offload",
    "parameter",
    "progress",
    "provider_id",
    "reasoning",
    "schema",
    "similarity",
    "steps",
    "sync",
    "transport",
    "webpage",
];

/// The top-level modules that each top-level module uses.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn a_layer_uses_only_earlier_layers_and_leaves() {
    for (module, used) in rust_modules() {
        for used in used {
            assert!(is_allowed(&module, &used), "{module} must not use {used}");
        }
    }
}

#[test]
fn the_modules_of_the_core_have_no_cycle() {
    assert_eq!(cycle(&rust_modules()), None);
}

#[test]
fn the_modules_of_the_python_package_have_no_cycle() {
    assert_eq!(cycle(&python_modules()), None);
}

#[test]
fn a_cycle_is_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (module, used) in edges {
            graph.entry((*module).to_owned()).or_default().insert((*used).to_owned());
        }
        graph
    };
    assert_eq!(cycle(&graph(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    assert_eq!(cycle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])), Some("b -> c -> b".to_owned()));
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
        // TERM and NO_COLOR describe the terminal; they are no settings.
        if file.ends_with("cli/terminal.py") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for mark in ["os.environ", "os.getenv", "os.putenv", "from os import environ"] {
            assert!(!text.contains(mark), "{} uses {mark}", file.display());
        }
    }
}

fn is_allowed(module: &str, used: &str) -> bool {
    let layer = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    match (layer(module), layer(used)) {
        (Some(own), Some(other)) => other < own,
        // The mock generates its replies as the simulator does; the bindings make the simulator available to users.
        (Some(_), None) => LEAVES.contains(&used) || (used == "simulator" && matches!(module, "provider" | "python")),
        (None, Some(_)) => false,
        (None, None) => LEAVES.contains(&used),
    }
}

/// Returns the first cycle in `graph`, such as `a -> b -> a`.
fn cycle(graph: &Graph) -> Option<String> {
    fn visit<'g>(
        graph: &'g Graph,
        module: &'g str,
        path: &mut Vec<&'g str>,
        done: &mut BTreeSet<&'g str>,
    ) -> Option<String> {
        if let Some(start) = path.iter().position(|earlier| *earlier == module) {
            path.push(module);
            return Some(path[start..].join(" -> "));
        }
        if !done.contains(module) {
            path.push(module);
            for used in graph.get(module).into_iter().flatten() {
                if let Some(found) = visit(graph, used, path, done) {
                    return Some(found);
                }
            }
            path.pop();
            done.insert(module);
        }
        None
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| visit(graph, module, &mut Vec::new(), &mut done))
}

/// Returns the graph of the modules of the crate, without their tests.
fn rust_modules() -> Graph {
    let mut graph = Graph::new();
    for file in sources(Path::new("src")) {
        let module = top_module(&file);
        let is_test = file.file_stem().is_some_and(|stem| stem == "tests") || file.iter().any(|part| part == "tests");
        if is_test || module == "lib" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let is_root = file.components().count() == 2 || (file.components().count() == 3 && file.ends_with("mod.rs"));
        let used = code(text).flat_map(|line| {
            paths(line, "crate::").chain(paths(line, "super::").filter(|_| is_root && !line.starts_with(' ')))
        });
        graph.entry(module.clone()).or_default().extend(used.filter(|used| *used != module));
    }
    graph
}

/// Returns the first segments of the paths in `line` that start with `prefix`.
fn paths<'l>(line: &'l str, prefix: &'l str) -> impl Iterator<Item = String> + 'l {
    let names = line.split(prefix).skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(group) => group.split('}').next().unwrap_or_default().split(',').collect::<Vec<_>>(),
        None => vec![rest],
    });
    let identifier =
        |name: &str| name.trim().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    names.map(identifier).filter(|name: &String| name.starts_with(char::is_lowercase))
}

/// Returns the graph of the modules of the Python package, with the imports for type checkers and those inside functions.
fn python_modules() -> Graph {
    let root = Path::new("python/madspark");
    let mut graph = Graph::new();
    for file in files(root, "py") {
        let inside = file.strip_prefix(root).unwrap().iter().next().unwrap();
        let module = inside.to_string_lossy().trim_end_matches(".py").to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let used = text.lines().map(str::trim_start).flat_map(|line| {
            let submodule = line.strip_prefix("from madspark.").or_else(|| line.strip_prefix("import madspark."));
            let names = line.strip_prefix("from madspark import ");
            let segment = |name: &str| name.split(['.', ' ', ';']).next().unwrap_or_default().to_owned();
            let exists = |name: &String| root.join(name).is_dir() || root.join(format!("{name}.py")).is_file();
            let names = names.into_iter().flat_map(|names| names.split(',')).map(move |name| {
                let name = segment(name.trim());
                // Every other name comes from the package itself.
                if exists(&name) || name == "_core" { name } else { "__init__".to_owned() }
            });
            submodule.map(segment).into_iter().chain(names).collect::<Vec<_>>()
        });
        graph.entry(module.clone()).or_default().extend(used.filter(|used| *used != module));
    }
    graph
}

/// Returns the lines that are not comments.
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
