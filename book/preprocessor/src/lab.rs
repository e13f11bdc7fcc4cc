//! A lab in a chapter: a run, looked at when the book is built. What is baked is readable with scripts off, found by the book's search and
//! printed: a poster, what stands at that moment, and in words what becomes of it. The script opens the same run, live, in its place.
//!
//! Every sentence about the run is the engine's. What is left out: several runs side by side.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use klab_web::session::{Info, Session};
use klab_world::exercise::Values;
use klab_world::frame::Frame;
use klab_world::scenario::Scenario;
use klab_world::scenario::library;
use klab_world::telling::telling;
use klab_world::world::{Watch, World};
use serde::Deserialize;

use crate::{exercises, poster};

/// What an author writes in the fence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fence {
    /// The name of a scenario that comes with klab, or:
    scenario: Option<String>,
    /// The id of an exercise.
    exercise: Option<String>,
    /// Which twin, from 1.
    #[serde(default)]
    twin: u32,
    /// Its seed; of an exercise, that of its witness.
    seed: Option<u64>,
    /// The moment of the poster in milliseconds; without it, just before the first blow.
    at_ms: Option<u64>,
}

/// A run that was looked at.
pub struct Lab {
    name: String,
    exercise: Option<Exercise>,
    /// Its attributes for the element.
    attributes: String,
    info: Info,
    /// The moment of the poster, and the last one.
    now: Frame,
    end: Frame,
    telling: Vec<String>,
}

struct Exercise {
    asks: String,
    expect: Vec<(String, String)>,
    text: String,
}

impl Lab {
    /// Runs what a fence asks for.
    pub fn open(fence: &str, source: &Path) -> Result<Lab> {
        let fence: Fence = serde_json::from_str(fence)?;
        let (text, seed, exercise) = match (&fence.scenario, &fence.exercise) {
            (Some(name), None) => {
                let text =
                    library::find(name).with_context(|| format!("klab has no scenario {name}"))?;
                (text, fence.seed.unwrap_or(42), None)
            }
            (None, Some(id)) => {
                let file = source.join("../exercises").join(format!("{id}.jsonc"));
                let exercise = exercises::read(&file)?;
                let about = exercise.about();
                let seed = fence.seed.or(about.witness).unwrap_or(1);
                let scenario = exercise.scenario(&Values::new()).map_err(|e| anyhow!(e))?;
                let baked = Exercise {
                    asks: about.asks,
                    expect: about.expect,
                    text: compact(&std::fs::read_to_string(&file)?)?,
                };
                (scenario.export(), seed, Some(baked))
            }
            _ => bail!("a lab shows either a scenario or an exercise"),
        };
        let wrong = |mistakes: klab_web::session::Mistakes| {
            let words: Vec<String> = mistakes.into_iter().map(|m| m.words).collect();
            anyhow!(words.join("\n"))
        };
        let mut session = Session::open(&text, fence.twin, Some(seed)).map_err(wrong)?;
        while !session.run(100_000).map_err(wrong)? {}
        let info = session.info().context("the run is over")?.clone();
        let opening = info.opening.as_ref().map_or(0, |opening| opening.at);
        let at = fence.at_ms.map_or(opening, |ms| ms as i64 * 1_000_000);
        let mut attributes = format!("mode=\"story\" seed=\"{seed}\" at=\"{}ms\"", at / 1_000_000);
        match (&fence.scenario, &fence.exercise) {
            (Some(name), _) => write!(attributes, " scenario=\"{}\"", escaped(name))?,
            (_, Some(id)) => write!(attributes, " exercise=\"{}\"", escaped(id))?,
            _ => {}
        }
        if fence.twin > 0 {
            write!(attributes, " twin=\"{}\"", fence.twin)?;
        }
        let name = fence.exercise.or(fence.scenario).unwrap_or_default();
        Ok(Lab {
            name: format!("{}-{}-{seed}", name.replace('/', "-"), fence.twin),
            exercise,
            attributes,
            now: session.frame(at),
            end: session.frame(info.to),
            telling: told(&text, fence.twin, seed)?,
            info,
        })
    }

    /// Its place in the page, without a blank line, which would end it. `to_root` leads to the root of the book.
    pub fn bake(&self, source: &Path, to_root: &str) -> Result<String> {
        poster::draw(&self.now, source, &self.name)?;
        let Lab { info, now, end, .. } = self;
        let mut html = format!(
            "<div class=\"klab\" data-lab=\"{}\" data-hash=\"{}\" data-attributes=\"{}\">\n",
            escaped(&self.name),
            info.hash,
            escaped(&self.attributes),
        );
        writeln!(
            html,
            "<p class=\"klab-title\"><strong>{}</strong> <span>seed {}</span></p>",
            escaped(&info.title),
            info.seed
        )?;
        if let Some(exercise) = &self.exercise {
            writeln!(html, "<p>{}</p>", escaped(&exercise.asks))?;
            let expect = |(what, meaning): &(String, String)| {
                format!(
                    "<li><code>{}</code> {}</li>",
                    escaped(what),
                    escaped(meaning)
                )
            };
            let list: String = exercise.expect.iter().map(expect).collect();
            writeln!(html, "<ul class=\"klab-expect\">{list}</ul>")?;
        }
        html.push_str("<div class=\"klab-poster\">\n");
        for theme in ["light", "dark"] {
            let file = |size| format!("{to_root}lab/{}-{size}-{theme}.svg", escaped(&self.name));
            writeln!(
                html,
                "<picture class=\"klab-{theme}\"><source media=\"(max-width: 620px)\" srcset=\"{}\"><img src=\"{}\" alt=\"{}\"></picture>",
                file("narrow"),
                file("wide"),
                escaped(&now.label),
            )?;
        }
        html.push_str("</div>\n");
        let ahead = info.opening.as_ref().filter(|opening| opening.at == now.at);
        let ahead = ahead.map_or_else(String::new, |o| format!(" {}", escaped(&o.ahead)));
        writeln!(
            html,
            "<p class=\"klab-caption\"><span class=\"klab-now\">{}</span> <span class=\"klab-clock\">At {}.</span>{ahead}</p>",
            escaped(&now.verdict.headline),
            escaped(&now.clock),
        )?;
        let words = if self.exercise.is_some() {
            "Open the exercise"
        } else {
            "Open the lab"
        };
        writeln!(
            html,
            "<p class=\"klab-open\" hidden><button type=\"button\">{words}</button></p>"
        )?;
        writeln!(
            html,
            "<details><summary>What becomes of it, in words</summary>"
        )?;
        writeln!(
            html,
            "<p><strong class=\"klab-end\">{}</strong></p>",
            escaped(&end.verdict.headline)
        )?;
        for sentence in &end.verdict.evidence {
            writeln!(html, "<p>{}</p>", escaped(sentence))?;
        }
        html.push_str("<ol class=\"klab-telling\">");
        for line in &self.telling {
            let (time, words) = line.trim_start().split_once("  ").unwrap_or(("", line));
            write!(
                html,
                "<li><span>{}</span> {}</li>",
                escaped(time),
                escaped(words)
            )?;
        }
        html.push_str("</ol>\n</details>\n");
        if let Some(exercise) = &self.exercise {
            let json = exercise.text.replace('<', "\\u003c");
            writeln!(html, "<script type=\"application/json\">{json}</script>")?;
        }
        html.push_str("</div>\n");
        Ok(html)
    }
}

/// The short telling of the run, without the verdict, which stands before it.
fn told(text: &str, twin: u32, seed: u64) -> Result<Vec<String>> {
    let scenario = Scenario::parse("the scenario", text).map_err(|e| anyhow!(e.to_string()))?;
    let scenario = match twin.checked_sub(1) {
        None => scenario,
        Some(before) => {
            let twin = scenario.twins.into_iter().nth(before as usize);
            *twin.context("it has no such twin")?.scenario
        }
    };
    let watch = Watch {
        records: true,
        checkers: true,
    };
    let mut world = World::new(Arc::new(scenario), seed, watch);
    while world.step() {}
    Ok(telling(&world).split_off(1))
}

/// The exercise without its comments, on one line.
fn compact(text: &str) -> Result<String> {
    let node = klab_world::scenario::tree::Node::parse(text, 0);
    let node = node.map_err(|(_, mistake)| anyhow!("{}", mistake.found))?;
    Ok(node.to_line())
}

fn escaped(plain: &str) -> String {
    let mut html = String::new();
    for sign in plain.chars() {
        match sign {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\n' => html.push(' '),
            sign => html.push(sign),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_that_asks_for_nothing_or_for_something_unknown_is_a_mistake() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for fence in [
            "{}",
            "{ \"scenario\": \"nowhere\" }",
            "{ \"scenario\": \"quickstart\", \"sed\": 1 }",
        ] {
            assert!(Lab::open(fence, here).is_err(), "{fence}");
        }
    }

    #[test]
    fn what_is_baked_is_what_a_session_says() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
        let lab = Lab::open("{ \"exercise\": \"05-1-acks\", \"at_ms\": 1000 }", &here)
            .expect("it is there");
        assert_eq!(lab.now.at, 1_000_000_000);
        assert!(lab.end.over, "{:?}", lab.end.verdict);
        assert!(
            lab.telling.iter().any(|line| line.contains("paused")),
            "{:?}",
            lab.telling
        );
        assert!(lab.attributes.contains("seed=\"17\""), "{}", lab.attributes);
    }

    #[test]
    fn a_text_is_never_markup() {
        assert_eq!(escaped("<b a=\"1\">&\n"), "&lt;b a=&quot;1&quot;&gt;&amp; ");
    }
}
