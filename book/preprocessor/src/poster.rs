//! Posters: the page's own picture of a moment, drawn under Node when the book is built, in the widths and colours of its readers.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use klab_world::frame::Frame;

/// Width in pixels and the name that a file has for it.
const WIDTHS: [(u32, &str); 2] = [(820, "wide"), (350, "narrow")];

/// Reads a frame and draws it once per theme: `<size> <theme>` and one line of SVG each.
const DRAW: &str = r#"
const { stage, text, style } = await import(process.argv[1]);
let json = "";
for await (const chunk of process.stdin) json += chunk;
const { frame, widths } = JSON.parse(json);
for (const [width, size] of widths)
  for (const theme of ["light", "dark"]) {
    const drawn = stage(frame, width, undefined);
    const css = style.replaceAll(":host([theme=\"dark\"])", ":host([theme=dark])").replaceAll(":host(:not([theme=\"light\"]))", ":not(*)")
      .replaceAll(":host([theme=dark])", "svg[data-theme=dark]").replaceAll(":host", "svg").replaceAll(".stage ", "svg ").replaceAll("container-type: inline-size;", "").replace(/\s+/g, " ");
    const svg = text({ ...drawn.tree, attrs: { ...drawn.tree.attrs, xmlns: "http://www.w3.org/2000/svg", "data-theme": theme } });
    const escaped = css.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    console.log(`${size} ${theme}`);
    console.log(svg.replace(/^(<svg[^>]*>)/, (open) => `${open}<style>${escaped}</style>`).replaceAll("\n", " "));
  }
"#;

/// Writes the posters of a frame as `lab/<name>-<size>-<theme>.svg` below a folder.
pub fn draw(frame: &Frame, source: &Path, name: &str) -> Result<()> {
    let picture = std::env::var_os("KLAB_PICTURE")
        .context("KLAB_PICTURE does not name the page's picture.js")?;
    let mut node = Command::new("node")
        .args(["--input-type=module", "--eval", DRAW])
        .arg(picture)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting node")?;
    let job = serde_json::json!({ "frame": frame, "widths": WIDTHS });
    let mut stdin = node.stdin.take().expect("it is piped");
    stdin.write_all(job.to_string().as_bytes())?;
    drop(stdin);
    let told = node.wait_with_output()?;
    if !told.status.success() {
        bail!("node could not draw the picture (see its message above)");
    }
    let told = String::from_utf8(told.stdout).context("what node drew is no text")?;
    let lines: Vec<&str> = told.lines().collect();
    if lines.len() != 2 * 2 * WIDTHS.len() {
        bail!("node drew {} lines", lines.len());
    }
    std::fs::create_dir_all(source.join("lab"))?;
    for drawn in lines.chunks(2) {
        let file = format!("lab/{name}-{}.svg", drawn[0].replace(' ', "-"));
        std::fs::write(source.join(&file), drawn[1]).with_context(|| format!("writing {file}"))?;
    }
    Ok(())
}
