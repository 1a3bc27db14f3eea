//! Who knows whom: read off every path in the source, through re-exports to the file that has the thing. No arrow
//! goes up, no verb names a verb, no two files know each other, not even by way of others, and a type has a name of
//! its own.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::paths_of;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, Item, ItemMod, Macro, UseTree, Visibility};

/// From the roof to the floor: a room may know those that stand below it.
const ROOMS: [&str; 20] = [
    // A door for tests, to wherever foreign words are read.
    "fuzz",
    "verbs",
    "building",
    "session",
    "observe",
    "apply",
    "bookkeeping",
    "plan_file",
    "processes",
    "app",
    "cli",
    "report",
    "config",
    "ledger",
    "engine",
    "runtime",
    "files",
    "plan",
    "model",
    "error",
];

/// What a room must not know of, though it stands below.
const STRANGERS: [(&str, &str); 8] = [
    // What is shown is plans and what became of them.
    ("report", "engine"),
    ("report", "ledger"),
    // Who looks, acts and keeps the books tells nobody of it and asks nobody: a verb does.
    ("observe", "report"),
    ("apply", "report"),
    ("bookkeeping", "report"),
    // What there is does not depend on what becomes of it.
    ("engine", "plan::clean"),
    ("ledger", "plan::clean"),
    // A host is swept by rules of its own.
    ("plan::sweep", "plan::clean"),
];

type Module = Vec<String>;

/// Whom each file names, each path as it is written.
struct House {
    files: BTreeMap<Module, syn::File>,
    /// What a module hands on under a name, and from where.
    handed_on: BTreeMap<(Module, String), Module>,
}

impl House {
    fn read() -> Self {
        let mut files = BTreeMap::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut Vec::new(), &mut files);
        let mut house = Self { files, handed_on: BTreeMap::new() };
        let mut handed_on = BTreeMap::new();
        for (module, file) in &house.files {
            for item in &file.items {
                let Item::Use(item) = item else { continue };
                if matches!(item.vis, Visibility::Inherited) || is_for_tests(&item.attrs) {
                    continue;
                }
                for path in paths_of(&item.tree) {
                    let Some((from, _)) = house.module_of(module, &path) else { continue };
                    if let Some(name) = path.last().filter(|_| from != *module) {
                        handed_on.insert((module.clone(), name.clone()), from);
                    }
                }
            }
        }
        house.handed_on = handed_on;
        house
    }

    /// The module that a path, written in this one, leads to, and what is left of it.
    fn module_of<'p>(&self, here: &Module, path: &'p [String]) -> Option<(Module, &'p [String])> {
        let mut left = path;
        let mut module = match left.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => here.clone(),
            child if self.files.contains_key(&below(here, child)) => here.clone(),
            _ => return None,
        };
        while let Some(step @ ("crate" | "self" | "super")) = left.first().map(String::as_str) {
            if step == "super" {
                module.pop();
            }
            left = &left[1..];
        }
        while let [next, rest @ ..] = left {
            let child = below(&module, next);
            let Some(deeper) = self.files.contains_key(&child).then_some(child) else {
                let handed_on = self.handed_on.get(&(module.clone(), next.clone()));
                return Some((handed_on.cloned().unwrap_or(module), left));
            };
            (module, left) = (deeper, rest);
        }
        Some((module, left))
    }

    fn known(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, file)| {
            let mut named = Named::default();
            named.visit_file(file);
            let known = named.paths.iter().filter_map(|path| Some(self.module_of(module, path)?.0));
            (module, known.filter(|other| other != module && !other.is_empty()).collect())
        };
        self.files.iter().filter(|(module, _)| !module.is_empty()).map(of).collect()
    }
}

fn below(module: &Module, child: &str) -> Module {
    let mut below = module.clone();
    below.push(child.to_owned());
    below
}

/// Every file below a folder, by its module. Files that hold tests alone are left out.
fn collect(folder: &Path, at: &mut Module, files: &mut BTreeMap<Module, syn::File>) {
    for entry in fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("its entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        if path.is_dir() {
            at.push(name);
            collect(&path, at, files);
            at.pop();
        } else if !["tests", "main"].contains(&name.as_str()) && !at.contains(&"tests".to_owned()) {
            let module = if ["mod", "lib"].contains(&name.as_str()) { at.clone() } else { below(at, &name) };
            let text = fs::read_to_string(&path).expect("a source file");
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if !is_for_tests(&file.attrs) {
                files.insert(module, file);
            }
        }
    }
}

#[derive(Default)]
struct Named {
    paths: Vec<Vec<String>>,
}

impl<'a> Visit<'a> for Named {
    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item(&mut self, item: &'a Item) {
        match item {
            Item::Use(item) if is_for_tests(&item.attrs) => {}
            // Handing something on is no use of it.
            Item::Use(item) if matches!(item.vis, Visibility::Inherited) => self.paths.extend(paths_of(&item.tree)),
            Item::Fn(item) if is_for_tests(&item.attrs) => {}
            item => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.paths.push(path.segments.iter().map(|part| part.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// What a macro is given is words to it. Of those the paths from the root are read.
    fn visit_macro(&mut self, item: &'a Macro) {
        visit::visit_macro(self, item);
        let text = item.tokens.to_string();
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let words: Vec<&str> = text.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect();
        for at in (0..words.len()).filter(|at| words[*at] == "crate") {
            let steps = words[at + 1..].chunks_exact(2).take_while(|pair| pair[0] == "::");
            let path = steps.map(|pair| pair[1].to_owned());
            self.paths.push(std::iter::once("crate".to_owned()).chain(path).collect());
        }
    }

    fn visit_use_tree(&mut self, _: &'a UseTree) {}

    /// Who may see a thing says nothing of what it uses.
    fn visit_visibility(&mut self, _: &'a Visibility) {}
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Ok(list) = attribute.meta.require_list() else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

fn written(module: &Module) -> String {
    module.join("::")
}

#[test]
fn no_room_knows_one_above_it() {
    let house = House::read();
    let storey = |module: &Module| {
        let place = ROOMS.iter().position(|room| *room == module[0]);
        place.unwrap_or_else(|| panic!("{} has no place in the house", module[0]))
    };
    let mut up = Vec::new();
    for (module, known) in house.known() {
        let above = known.iter().filter(|other| storey(other) < storey(module));
        up.extend(above.map(|other| format!("{} → {}", written(module), written(other))));
    }
    assert!(up.is_empty(), "arrows that go up:\n{}", up.join("\n"));
}

#[test]
fn no_room_knows_a_stranger() {
    let house = House::read();
    let is_in = |module: &Module, place: &str| format!("{}::", written(module)).starts_with(&format!("{place}::"));
    let (known, mut strange) = (house.known(), Vec::new());
    for (room, stranger) in STRANGERS {
        assert!([room, stranger].iter().all(|place| house.files.keys().any(|module| is_in(module, place))));
        for (module, known) in known.iter().filter(|(module, _)| is_in(module, room)) {
            let strangers = known.iter().filter(|other| is_in(other, stranger));
            strange.extend(strangers.map(|other| format!("{} → {}", written(module), written(other))));
        }
    }
    assert!(strange.is_empty(), "rooms that know strangers:\n{}", strange.join("\n"));
}

#[test]
fn a_room_is_known_however_it_is_named() {
    for text in [
        "use crate::report;",
        "use crate::{model, report};",
        "use crate::{report as told};",
        "fn f() { crate::report::say(); }",
        "fn f() { format_args!(\"{}\", [crate::report::words()]); }",
    ] {
        let mut named = Named::default();
        named.visit_file(&syn::parse_file(text).expect("Rust"));
        assert!(named.paths.iter().any(|path| path.join("::").starts_with("crate::report")), "{text}");
    }
}

#[test]
fn no_verb_knows_another() {
    let house = House::read();
    let mut knows = Vec::new();
    for (module, known) in house.known() {
        let is_verb = |module: &Module| module.len() > 1 && module[0] == "verbs";
        let others = known.iter().filter(|other| is_verb(module) && is_verb(other) && other[1] != module[1]);
        knows.extend(others.map(|other| format!("{} → {}", written(module), written(other))));
    }
    assert!(knows.is_empty(), "verbs that know each other:\n{}", knows.join("\n"));
}

#[test]
fn no_two_files_know_each_other() {
    let house = House::read();
    let mut left = house.known();
    // What knows nobody that is left is in no circle, and neither is what nobody knows.
    loop {
        let before = left.len();
        let there: BTreeSet<Module> = left.keys().map(|module| (*module).clone()).collect();
        for known in left.values_mut() {
            known.retain(|other| there.contains(other));
        }
        left.retain(|_, known| !known.is_empty());
        let known: BTreeSet<Module> = left.values().flatten().cloned().collect();
        left.retain(|module, _| known.contains(*module));
        if left.len() == before {
            break;
        }
    }
    let circles: Vec<String> = left
        .iter()
        .map(|(module, known)| {
            format!("{} → {}", written(module), known.iter().map(written).collect::<Vec<_>>().join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "files in circles:\n{}", circles.join("\n"));
}

#[test]
fn the_name_of_a_type_is_used_once() {
    let house = House::read();
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // What fuzzing puts together is read beside what it tries, and by nobody else.
    for (module, file) in house.files.iter().filter(|(module, _)| !module.contains(&"fuzz".to_owned())) {
        for item in &file.items {
            let (name, attributes) = match item {
                Item::Struct(item) => (&item.ident, &item.attrs),
                Item::Enum(item) => (&item.ident, &item.attrs),
                Item::Trait(item) => (&item.ident, &item.attrs),
                Item::Type(item) => (&item.ident, &item.attrs),
                _ => continue,
            };
            if !is_for_tests(attributes) {
                places.entry(name.to_string()).or_default().push(written(module));
            }
        }
    }
    assert!(places.len() > 300, "{}", places.len());
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "names of several types: {places:#?}");
}

#[test]
fn the_paths_are_read_as_the_compiler_reads_them() {
    let house = House::read();
    let module = |text: &str| text.split("::").map(str::to_owned).collect::<Module>();
    let leads = |from: &str, path: &str| house.module_of(&module(from), &module(path)).map(|(to, _)| written(&to));
    assert_eq!(leads("plan::clean", "crate::model::Name"), Some("model::name".to_owned()));
    assert_eq!(leads("plan::clean::rules", "super::look::Look"), Some("plan::clean::look".to_owned()));
    assert_eq!(leads("plan::clean", "rules::Rules"), Some("plan::clean::rules".to_owned()));
    assert_eq!(leads("plan::clean", "std::fs"), None);
    assert!(house.known().len() > 100);
}
