//! From a file to a [`Scenario`]: text, tree, base, `--set`, values, checks across values, twins.
//!
//! Decoded by hand over the tree, so that each mistake has its line and column and many are found at once. After the
//! first stage that found mistakes the later ones are not begun: they would only repeat them.

mod admin;
mod check;
mod config;
mod fields;
mod step;
mod values;

use super::error::{Mistake, ScenarioErrors, Sources, Span};
use super::grammar::Kind;
use super::tree::{Key, Node, Value, text_of};
use super::{Scenario, library, limits, pointer};
use fields::{Mistakes, list, text};

/// Where scenarios named by `base` are found.
pub type Find<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A base may have a base; no story needs more.
const BASES_MAX: usize = 4;

/// Reads a scenario file.
///
/// `sets` are pointers and values of the command line; a value that is not JSON is taken as a text.
///
/// # Errors
/// Every mistake that was found, in the order of the file.
pub fn read(
    name: &str,
    bytes: &[u8],
    sets: &[(String, String)],
    find: Find<'_>,
) -> Result<Scenario, ScenarioErrors> {
    let mut sources = Sources::default();
    let text = match text_of(bytes) {
        Ok(text) => text,
        Err((span, mistake)) => {
            let start = &bytes[..bytes.len().min(limits::FILE_BYTES.len_max())];
            sources.add(name, &String::from_utf8_lossy(start));
            return Err(ScenarioErrors(vec![sources.error(span, mistake)]));
        }
    };
    let source = sources.add(name, text);
    let tree = Node::parse(text, source).and_then(|tree| with_base(tree, &mut sources, find, 0));
    let tree = tree.and_then(|tree| with_assets(tree, find));
    let tree = tree.and_then(|tree| with_sets(tree, sets, &mut sources));
    match tree {
        Ok(tree) => of_tree(&tree, &sources),
        Err((span, mistake)) => Err(ScenarioErrors(vec![sources.error(span, mistake)])),
    }
}

/// Puts a scenario upon its base.
fn with_base(
    tree: Node,
    sources: &mut Sources,
    find: Find<'_>,
    depth: usize,
) -> Result<Node, (Span, Mistake)> {
    let Some(base) = tree.get("base").cloned() else {
        return match tree.get("set") {
            Some(set) => Err((
                set.span,
                Mistake::new(
                    "\"set\" without \"base\"",
                    "the values themselves at their places",
                ),
            )),
            None => Ok(tree),
        };
    };
    let at = |mistake| (base.span, mistake);
    let name = text(&base, &Kind::Name).map_err(at)?;
    if depth == BASES_MAX {
        return Err(at(Mistake::new(
            format!("a base of a base, {depth} deep"),
            format!("at most {BASES_MAX}"),
        )));
    }
    let found = find(name).ok_or_else(|| {
        let library = library::ALL.iter().map(|entry| entry.name);
        at(Mistake::unknown("scenario", name, library))
    })?;
    let source = sources.add(name, &found);
    let mut whole = with_base(Node::parse(&found, source)?, sources, find, depth + 1)?;
    let Value::Map(entries) = tree.value else {
        unreachable!("because it has the key `base`");
    };
    for (_, node) in entries.iter().filter(|(key, _)| key.name == "set") {
        for (pointer, value) in set_of(node)? {
            pointer::set(&mut whole, &pointer.name, value)
                .map_err(|mistake| (pointer.span, mistake))?;
        }
    }
    for (key, node) in entries {
        match (key.name.as_str(), node.value) {
            ("base" | "set", _) => {}
            ("steps", Value::List(more)) => add_steps(&mut whole, key, node.span, more),
            (_, value) => put(
                &mut whole,
                key,
                Node {
                    span: node.span,
                    value,
                },
            ),
        }
    }
    Ok(whole)
}

/// Puts the lines of the files that `assets` names into their places: a scenario carries its assets.
fn with_assets(mut tree: Node, find: Find<'_>) -> Result<Node, (Span, Mistake)> {
    let Value::Map(entries) = &mut tree.value else {
        return Ok(tree);
    };
    let assets = entries.iter_mut().filter(|(key, _)| key.name == "assets");
    for (_, node) in assets {
        let Value::Map(files) = &mut node.value else {
            continue;
        };
        for (_, file) in files {
            let Value::Text(name) = &file.value else {
                continue;
            };
            let Some(found) = find(name) else {
                let mistake = Mistake::new(
                    format!(
                        "the asset {}, which is not there",
                        super::error::quoted(name)
                    ),
                    "a file beside the scenario, or one that comes with klab",
                );
                return Err((file.span, mistake));
            };
            let lines = found.lines().filter(|line| !line.trim().is_empty());
            file.value = Node::list(lines.map(Node::text)).value;
        }
    }
    Ok(tree)
}

/// Steps are added to those of the base: what someone does to a scenario is one more step of it.
fn add_steps(whole: &mut Node, key: Key, span: Span, more: Vec<Node>) {
    let Value::Map(entries) = &mut whole.value else {
        return;
    };
    match entries.iter_mut().find(|(known, _)| known.name == "steps") {
        Some((
            _,
            Node {
                value: Value::List(steps),
                ..
            },
        )) => steps.extend(more),
        _ => put(
            whole,
            key,
            Node {
                span,
                value: Value::List(more),
            },
        ),
    }
}

fn put(whole: &mut Node, key: Key, node: Node) {
    if let Value::Map(entries) = &mut whole.value {
        entries.retain(|(known, _)| known.name != key.name);
        entries.push((key, node));
    }
}

fn set_of(node: &Node) -> Result<Vec<(Key, Node)>, (Span, Mistake)> {
    match &node.value {
        Value::Map(entries) => Ok(entries.clone()),
        _ => Err((node.span, Mistake::new(node.found(), Kind::Set.expected()))),
    }
}

fn with_sets(
    mut tree: Node,
    sets: &[(String, String)],
    sources: &mut Sources,
) -> Result<Node, (Span, Mistake)> {
    for (path, value) in sets {
        let source = sources.add(&format!("--set {path}"), value);
        let end = u32::try_from(value.len().min(limits::FILE_BYTES.len_max())).expect("bounded");
        let span = Span {
            source,
            start: 0,
            end,
        };
        let node = Node::parse(value, source).unwrap_or(Node {
            span,
            value: Value::Text(value.clone()),
        });
        pointer::set(&mut tree, path, node).map_err(|mistake| (span, mistake))?;
    }
    Ok(tree)
}

/// Decodes a whole tree and everything that can be made of it.
fn of_tree(tree: &Node, sources: &Sources) -> Result<Scenario, ScenarioErrors> {
    let mistakes = Mistakes::new(sources);
    let mut scenario = values::scenario(&mistakes, tree);
    if mistakes.is_empty() {
        check::across(&mistakes, tree, &scenario);
    }
    if mistakes.is_empty() {
        variants(&mistakes, tree, sources, &mut scenario);
    }
    match mistakes.is_empty() {
        true => Ok(scenario),
        false => Err(ScenarioErrors(mistakes.into_list())),
    }
}

/// Every twin and every value of `try` must be a scenario too; those of the twins are kept.
fn variants(mistakes: &Mistakes<'_>, tree: &Node, sources: &Sources, scenario: &mut Scenario) {
    let lists = |name: &str| {
        tree.get(name)
            .map(|node| list(mistakes, node))
            .unwrap_or_default()
    };
    let twins: Vec<Vec<(Key, Node)>> = lists("twins").into_iter().map(changes_of_twin).collect();
    let tries = lists("try").into_iter().flat_map(changes_of_try);
    let tries: Vec<Vec<(Key, Node)>> = tries.collect();
    let count = (twins.len() + tries.len()) as u64;
    if mistakes
        .check(tree.span, limits::VARIANTS.hold(count))
        .is_none()
    {
        return;
    }
    let mut plain = tree.clone();
    if let Value::Map(entries) = &mut plain.value {
        entries.retain(|(key, _)| !matches!(key.name.as_str(), "twins" | "try"));
    }
    for (i, changes) in twins.into_iter().enumerate() {
        if let Some(mut variant) = variant(mistakes, &plain, changes, sources) {
            let twin = &mut scenario.twins[i];
            variant.title = format!("{}: {}", scenario.title, twin.title).into();
            *twin.scenario = variant;
        }
    }
    for changes in tries {
        variant(mistakes, &plain, changes, sources);
    }
}

fn changes_of_twin(twin: &Node) -> Vec<(Key, Node)> {
    let mut changes = twin
        .get("set")
        .map_or(Ok(Vec::new()), set_of)
        .expect("twins were decoded");
    changes.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let (span, expect) = match twin.get("expect") {
        Some(node) => (node.span, node.clone()),
        None => (twin.span, Node::list([])),
    };
    changes.push((
        Key {
            span,
            name: "/expect".into(),
        },
        expect,
    ));
    changes
}

fn changes_of_try(entry: &Node) -> Vec<Vec<(Key, Node)>> {
    let (Some(path), Some(to)) = (entry.get("set"), entry.get("to")) else {
        return Vec::new();
    };
    let (Value::Text(name), Value::List(values)) = (&path.value, &to.value) else {
        return Vec::new();
    };
    let key = Key {
        span: path.span,
        name: name.clone(),
    };
    values
        .iter()
        .map(|value| vec![(key.clone(), value.clone())])
        .collect()
}

fn variant(
    mistakes: &Mistakes<'_>,
    plain: &Node,
    changes: Vec<(Key, Node)>,
    sources: &Sources,
) -> Option<Scenario> {
    let mut variant = plain.clone();
    for (pointer, value) in changes {
        mistakes.check(
            pointer.span,
            pointer::set(&mut variant, &pointer.name, value),
        );
    }
    if !mistakes.is_empty() {
        return None;
    }
    let decoded = of_tree(&variant, sources);
    decoded
        .map_err(|errors| errors.0.into_iter().for_each(|error| mistakes.take(error)))
        .ok()
}

#[cfg(test)]
mod tests;
