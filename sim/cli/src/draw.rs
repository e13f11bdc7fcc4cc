//! Draws mistakes as rustc does: the line, what is wrong with it, and a way out.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use klab_world::scenario::ScenarioError;

use crate::outcome::Wrong;
use crate::report;

/// A line longer than this is not drawn; its place is still named.
const LINE_MAX: usize = 400;

/// Prints what is wrong to stderr.
pub fn wrong(wrong: &Wrong) {
    match wrong {
        Wrong::Scenario(errors) => {
            for error in &errors.0 {
                report::complain(&format!("{}\n", mistake(error)));
            }
            let count = errors.0.len();
            let name = errors
                .0
                .first()
                .map_or("the scenario", |error| &error.source.name);
            let mistakes = if count == 1 { "a mistake" } else { "mistakes" };
            report::complain(&title(&format!("{name} has {mistakes} and was not run")));
        }
        Wrong::Usage { what, help } => {
            let report = [Level::ERROR
                .primary_title(what.as_str())
                .element(Level::HELP.message(help.as_str()))];
            report::complain(&renderer().render(&report));
        }
    }
}

/// One mistake as a picture.
pub fn mistake(error: &ScenarioError) -> String {
    let expected = format!("expected {}", error.mistake.expected);
    let title = Level::ERROR.primary_title(error.mistake.found.as_str());
    let place = format!("{}:{}:{}", error.source.name, error.line, error.column);
    let mut group = match first_line(error) {
        Some((line, span)) => title.element(
            Snippet::source(line)
                .path(place_name(error))
                .line_start(error.line as usize)
                .fold(false)
                .annotation(AnnotationKind::Primary.span(span).label(expected)),
        ),
        None => title.element(Level::NOTE.message(format!("{place}: {expected}"))),
    };
    if let Some(hint) = &error.mistake.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer().render(&[group])
}

fn place_name(error: &ScenarioError) -> &str {
    &error.source.name
}

fn title(text: &str) -> String {
    renderer().render(&[Level::ERROR
        .primary_title(text)
        .element(Level::NOTE.message("klab check FILE reads a scenario without running it"))])
}

fn renderer() -> Renderer {
    Renderer::styled()
}

/// The line where the mistake begins, and the part of it that is wrong.
fn first_line(error: &ScenarioError) -> Option<(&str, std::ops::Range<usize>)> {
    let text = &error.source.text;
    let start = error.start as usize;
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = text[line_start..line_end].trim_end_matches('\r');
    if line.is_empty() || line.len() > LINE_MAX {
        return None;
    }
    let from = (start - line_start).min(line.len());
    let to = (error.end as usize)
        .min(line_end)
        .saturating_sub(line_start)
        .clamp(from, line.len());
    Some((line, from..to))
}
