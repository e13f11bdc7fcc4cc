//! `klab plot`: a run as an SVG file. Four panels over virtual time: records per second, latency, members of the ISRs, and how
//! far leaders are ahead of their high watermarks. Harm is shaded through all of them, named by letters, told below.
//!
//! The numbers are `klab_world::plot`'s; here they become floats, lines and words. Text is the viewer's own sans-serif: nothing
//! here measures fonts, so every word has a place with room to spare.

use std::sync::Arc;

use klab_world::plot::{Client, Plot, plot as numbers};
use klab_world::scenario::quantity::write_duration;
use klab_world::world::Watch;
use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::element::{PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{DrawingArea, IntoDrawingArea, IntoFont, LineSeries, SVGBackend};
use plotters::style::{Color, RGBColor, ShapeStyle, TextStyle};

use crate::args;
use crate::engine::{self, Plan};
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::report;
use crate::run::SEED;

/// Runs it and draws it.
pub fn plot(args: &args::Plot) -> Result<Outcome, Wrong> {
    let scenario = Arc::new(files::chosen(&args.scenario)?);
    files::writable(&args.output)?;
    let plan = Plan {
        seed: args.seed.or(scenario.seed).unwrap_or(SEED),
        scenario,
        watch: Watch {
            records: true,
            checkers: true,
        },
        until: None,
        tape: None,
    };
    let Some(ended) = engine::ended(&plan, &args.scenario)? else {
        return Ok(Outcome::Bug);
    };
    let Some(plot) = numbers(&ended.world) else {
        return Err(Wrong::usage(
            "the cluster never was ready: there is nothing to draw",
            "`klab run` says what was missing",
        ));
    };
    let svg = draw(&plot);
    files::write(&args.output, svg.as_bytes())?;
    report::print(&format!("{} is written", args.output.display()));
    Ok(report::outcome(
        &ended.world.outcome().expect("it was watched"),
    ))
}

const WIDTH: u32 = 960;
const PANEL: u32 = 204;
const HEAD: u32 = 64;
const LINE: u32 = 20;
/// Room for the axis, and for names beside a panel.
const LEFT: i32 = 76;
const RIGHT: i32 = 190;
/// More lines than this cannot be told apart.
const LINES_MAX: usize = 6;
/// Faults that have a letter.
const FAULTS_MAX: usize = 26;
/// Letters of a fault's words that fit on a line.
const WORDS_MAX: usize = 105;

const INK: RGBColor = RGBColor(0x22, 0x28, 0x33);
const FAINT: RGBColor = RGBColor(0x5b, 0x63, 0x70);
const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);
const HARM: RGBColor = RGBColor(0xd6, 0x45, 0x3d);
/// Told apart by those who do not see all colours, too.
const COLOURS: [RGBColor; LINES_MAX] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x8a, 0x6d, 0x00),
    RGBColor(0x33, 0x33, 0x99),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a panel: its name, and runs of points without gaps; time in s.
struct Line {
    name: String,
    runs: Runs,
}

/// Points of a line, in pieces between which it has none: seconds and what is shown.
type Runs = Vec<Vec<(f64, f64)>>;

/// A panel: what it shows, and its lines.
struct Panel {
    title: &'static str,
    lines: Vec<Line>,
    /// Whole numbers only on its axis.
    whole: bool,
}

/// The whole picture as the text of a file.
pub fn draw(plot: &Plot) -> String {
    let panels = panels(plot);
    let told = plot.faults.len().min(FAULTS_MAX);
    let more = plot.faults.len() - told;
    let foot = (told as u32 + u32::from(more > 0) + 1) * LINE + 12;
    let height = HEAD + PANEL * panels.len() as u32 + foot;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let can = "text can always be written into a string";
        root.fill(&RGBColor(255, 255, 255)).expect(can);
        words(&root, &plot.title, (16, 10), 20.0, INK);
        let under = format!(
            "seed {}, {} of virtual time from ready on, in pieces of {}",
            plot.seed,
            seconds(plot.end),
            write_duration(plot.width)
        );
        words(&root, &under, (16, 38), 14.0, FAINT);
        let (_, below) = root.split_vertically(HEAD);
        let (middle, foot) = below.split_vertically(PANEL * panels.len() as u32);
        for (area, panel) in middle.split_evenly((panels.len(), 1)).iter().zip(&panels) {
            draw_panel(area, plot, panel);
        }
        for (n, fault) in plot.faults.iter().take(told).enumerate() {
            let y = 8 + n as i32 * LINE as i32;
            let lasts = match fault.until > fault.from {
                true => format!("{} to {}", seconds(fault.from), seconds(fault.until)),
                false => format!("at {}", seconds(fault.from)),
            };
            words(&foot, &letter(n), (16, y), 14.0, HARM);
            words(&foot, &lasts, (40, y), 14.0, FAINT);
            words(&foot, &short(&fault.words), (190, y), 14.0, INK);
        }
        if more > 0 {
            let y = 8 + told as i32 * LINE as i32;
            words(&foot, &format!("and {more} more"), (40, y), 14.0, FAINT);
        }
        root.present().expect(can);
    }
    svg
}

fn panels(plot: &Plot) -> Vec<Panel> {
    let clients = || plot.producers.iter().chain(&plot.consumers);
    let of_client = |line: &dyn Fn(&Client) -> Runs| -> Vec<Line> {
        let one = |client: &Client| Line {
            name: client.name.clone(),
            runs: line(client),
        };
        clients().map(one).collect()
    };
    let at = |n: usize| (n as f64 + 0.5) * plot.width as f64 / 1e9;
    let per_second = 1e9 / plot.width as f64;
    let rate = |client: &Client| {
        let points = client.records.iter().enumerate();
        vec![
            points
                .map(|(n, count)| (at(n), *count as f64 * per_second))
                .collect(),
        ]
    };
    let slowest = |client: &Client| gaps(&client.slowest, &at);
    let end = plot.end as f64 / 1e9;
    let isr = plot.partitions.iter().map(|partition| Line {
        name: partition.name.clone(),
        runs: vec![stairs(&partition.isr, end)],
    });
    let lag = plot.partitions.iter().map(|partition| Line {
        name: partition.name.clone(),
        runs: vec![
            partition
                .lag
                .iter()
                .enumerate()
                .map(|(n, lag)| (at(n), *lag as f64))
                .collect(),
        ],
    });
    vec![
        Panel {
            title: "records per second (acknowledged, or read)",
            lines: of_client(&rate),
            whole: false,
        },
        Panel {
            title: "slowest record in ms, since its caller asked",
            lines: of_client(&slowest),
            whole: false,
        },
        Panel {
            title: "members of the ISR",
            lines: isr.collect(),
            whole: true,
        },
        Panel {
            title: "records of the leader beyond its high watermark",
            lines: lag.collect(),
            whole: true,
        },
    ]
}

/// In ms; where there was no record the line ends.
fn gaps(values: &[Option<u64>], at: &dyn Fn(usize) -> f64) -> Runs {
    let mut runs = vec![Vec::new()];
    for (n, value) in values.iter().enumerate() {
        match value {
            Some(ns) => runs
                .last_mut()
                .expect("there is always one")
                .push((at(n), *ns as f64 / 1e6)),
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// From changes to the outline of what held between them.
fn stairs(changes: &[(u64, u64)], end: f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (since, value) in changes {
        let (x, y) = (*since as f64 / 1e9, *value as f64);
        if let Some((_, before)) = points.last().copied() {
            points.push((x, before));
        }
        points.push((x, y));
    }
    if let Some((_, last)) = points.last().copied() {
        points.push((end, last));
    }
    points
}

fn draw_panel(area: &Area<'_>, plot: &Plot, panel: &Panel) {
    let can = "text can always be written into a string";
    let end = (plot.end as f64 / 1e9).max(0.001);
    let points = || {
        panel
            .lines
            .iter()
            .flat_map(|line| line.runs.iter().flatten())
    };
    let top = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.15;
    words(area, panel.title, (LEFT, 4), 15.0, INK);
    let mut chart = ChartBuilder::on(area)
        .margin_top(40)
        .margin_right(RIGHT)
        .x_label_area_size(30)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .expect(can);
    let mut free = 0;
    for (n, fault) in plot.faults.iter().take(FAULTS_MAX).enumerate() {
        let (from, until) = (fault.from as f64 / 1e9, fault.until as f64 / 1e9);
        let shade = Rectangle::new([(from, 0.0), (until, top)], HARM.mix(0.10).filled());
        let edge = PathElement::new(vec![(from, 0.0), (from, top)], HARM.mix(0.55));
        chart.draw_series([shade]).expect(can);
        chart.draw_series([edge]).expect(can);
        // Letters stand above the panel, those of faults that begin together beside one another.
        let (x, y) = chart.backend_coord(&(from, top));
        let (_, range) = area.get_pixel_range();
        free = (x - 4).max(free);
        words(area, &letter(n), (free, y - range.start - 14), 13.0, HARM);
        free += 13;
    }
    let whole = |y: &f64| match y.fract().abs() < 1e-9 {
        true => format!("{y:.0}"),
        false => String::new(),
    };
    let any = |y: &f64| match top < 5.0 {
        true => format!("{y:.1}"),
        false => format!("{y:.0}"),
    };
    let label = TextStyle::from(("sans-serif", 13.0).into_font()).color(&FAINT);
    chart
        .configure_mesh()
        .light_line_style(ShapeStyle::from(&GRID).stroke_width(0))
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .x_labels(12)
        .y_labels(5)
        .label_style(label)
        .x_label_formatter(&|x| format!("{x:.0} s"))
        .y_label_formatter(if panel.whole { &whole } else { &any })
        .disable_x_mesh()
        .draw()
        .expect(can);
    for (n, line) in panel.lines.iter().take(LINES_MAX).enumerate() {
        for run in &line.runs {
            // Where two lines are one, the first is seen on both sides of the later.
            let behind = panel.lines.len().min(LINES_MAX) - 1 - n;
            let style = ShapeStyle::from(&COLOURS[n]).stroke_width(2 + behind as u32 * 3 / 2);
            let points = run.iter().copied();
            chart
                .draw_series(LineSeries::new(points, style))
                .expect(can);
            if let [(x, y)] = run[..] {
                let (w, h) = (end / 400.0, top / 60.0);
                let dot = vec![
                    (x - w, y - h),
                    (x + w, y - h),
                    (x + w, y + h),
                    (x - w, y + h),
                ];
                chart
                    .draw_series([Polygon::new(dot, COLOURS[n])])
                    .expect(can);
            }
        }
        let y = 40 + n as i32 * 19;
        let x = WIDTH as i32 - RIGHT + 14;
        let key = Rectangle::new([(x, y + 6), (x + 16, y + 9)], COLOURS[n].filled());
        area.draw(&key).expect(can);
        words(area, &named(&line.name), (x + 22, y), 13.0, INK);
    }
    if panel.lines.len() > LINES_MAX {
        let (x, y) = (WIDTH as i32 - RIGHT + 14, 40 + LINES_MAX as i32 * 19);
        let more = panel.lines.len() - LINES_MAX;
        words(area, &format!("and {more} more"), (x, y), 13.0, FAINT);
    }
}

fn words(area: &Area<'_>, text: &str, at: (i32, i32), size: f64, colour: RGBColor) {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&colour);
    area.draw(&Text::new(text.to_owned(), at, style))
        .expect("text can always be written into a string");
}

fn letter(n: usize) -> String {
    let letter = b'A' + u8::try_from(n % FAULTS_MAX).expect("below 26");
    char::from(letter).to_string()
}

fn seconds(ns: u64) -> String {
    format!("{}.{:01} s", ns / 1_000_000_000, ns / 100_000_000 % 10)
}

/// Cut where the line ends.
fn short(text: &str) -> String {
    cut(text, WORDS_MAX)
}

/// Cut where the picture ends.
fn named(text: &str) -> String {
    cut(text, 22)
}

fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => format!("{}…", text.chars().take(most - 1).collect::<String>()),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klab_world::plot::{Partition, Span};

    /// More of everything than a panel has room for.
    fn full() -> Plot {
        let client = |name: &str| Client {
            name: name.to_owned(),
            records: vec![0, 4, 9, 2, 0, 0, 7, 1],
            slowest: vec![
                None,
                Some(4_000_000),
                Some(9_000_000),
                None,
                None,
                None,
                Some(1),
                None,
            ],
        };
        let partition = |n: u64| Partition {
            name: format!("a.topic.with.a.long.name.{n}-0"),
            isr: vec![(0, 3), (2_000_000_000, 1 + n % 2), (5_500_000_000, 3)],
            lag: vec![0, 1, 5, 200 + n, 3, 0, 0, 0],
        };
        let fault = |n: u64| Span {
            from: 1_000_000_000 + n * 20_000_000,
            until: 1_000_000_000 + n * 900_000_000,
            words: "nothing passes between ".to_owned() + &"broker-1 and ".repeat(20),
        };
        Plot {
            title: "A <title> & more".to_owned(),
            seed: 7,
            end: 8_000_000_000,
            width: 1_000_000_000,
            producers: vec![client("shop"), client("bank")],
            consumers: vec![client("auditor")],
            partitions: (0..9).map(partition).collect(),
            faults: (0..30).map(fault).collect(),
        }
    }

    /// The words of a picture, each with the box it takes: left, top, right, bottom. A letter is taken for 0.62 of its height.
    fn boxes(svg: &str) -> Vec<(String, [f64; 4])> {
        let number = |tag: &str, key: &str| -> f64 {
            let from = tag.find(&format!(" {key}=\"")).expect("every text has it") + key.len() + 3;
            let rest = &tag[from..];
            let until = rest.find('"').expect("it ends");
            rest[..until].parse().expect("a number")
        };
        let one = |element: &str| {
            let (tag, rest) = element.split_once('>').expect("a tag");
            let text = rest.split('<').next().expect("a text").trim().to_owned();
            let (x, y, size) = (number(tag, "x"), number(tag, "y"), number(tag, "font-size"));
            let wide = text.chars().count() as f64 * size * 0.62;
            let left = match () {
                () if tag.contains("\"middle\"") => x - wide / 2.0,
                () if tag.contains("\"end\"") => x - wide,
                () => x,
            };
            let top = match tag.contains("dy=\"0.5ex\"") {
                true => y - size / 2.0,
                false => y,
            };
            (text, [left, top, left + wide, top + size])
        };
        svg.split("<text").skip(1).map(one).collect()
    }

    #[test]
    fn no_word_of_a_full_picture_lies_on_another_or_outside() {
        let svg = draw(&full());
        let boxes = boxes(&svg);
        assert!(boxes.len() > 60, "{}", boxes.len());
        let height = svg
            .split("height=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let height: f64 = height.and_then(|h| h.parse().ok()).expect("the picture's");
        for (n, (text, [left, top, right, bottom])) in boxes.iter().enumerate() {
            let inside =
                *left >= 0.0 && *top >= 0.0 && *right <= f64::from(WIDTH) && *bottom <= height;
            assert!(inside, "{text} at {left} {top} {right} {bottom}");
            for (other, [l, t, r, b]) in &boxes[n + 1..] {
                let apart = right <= l || r <= left || bottom <= t || b <= top;
                assert!(apart, "{text:?} lies on {other:?} at {left} {top}");
            }
        }
    }

    #[test]
    fn a_picture_has_four_panels_a_letter_for_each_fault_and_no_number_that_is_none() {
        let svg = draw(&full());
        let texts: Vec<String> = boxes(&svg).into_iter().map(|(text, _)| text).collect();
        let count = |word: &str| texts.iter().filter(|text| *text == word).count();
        for panel in panels(&full()) {
            assert_eq!(count(panel.title), 1);
        }
        assert_eq!(count("A"), 4 + 1, "in each panel and below");
        assert_eq!(count("Z"), 4 + 1);
        assert_eq!(count("and 4 more"), 1, "faults");
        assert_eq!(count("and 3 more"), 2, "partitions, in two panels");
        assert_eq!(count("shop"), 2);
        assert!(
            svg.contains("A &lt;title&gt; &amp; more"),
            "words are escaped"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn what_did_not_happen_leaves_a_gap_and_what_held_is_a_stair() {
        let at = |n: usize| n as f64;
        let runs = gaps(
            &[
                None,
                Some(1_000_000),
                None,
                Some(2_000_000),
                Some(3_000_000),
            ],
            &at,
        );
        assert_eq!(runs, [vec![(1.0, 1.0)], vec![(3.0, 2.0), (4.0, 3.0)]]);
        let stairs = stairs(&[(0, 3), (2_000_000_000, 2)], 5.0);
        assert_eq!(stairs, [(0.0, 3.0), (2.0, 3.0), (2.0, 2.0), (5.0, 2.0)]);
    }
}
