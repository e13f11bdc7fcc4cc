//! `klab list`: the scenarios that come with klab.

use klab_world::scenario::{Scenario, library};

use crate::outcome::{Outcome, Wrong};
use crate::report;

/// One line for each scenario and one for each twin.
pub fn list() -> Result<Outcome, Wrong> {
    let bold = anstyle::Style::new().bold();
    for entry in library::ALL {
        let scenario = Scenario::parse(entry.name, entry.text)?;
        report::print(&format!(
            "{bold}{:<34}{bold:#} {}",
            entry.name, scenario.title
        ));
        if let Some(teaches) = &scenario.teaches {
            report::print(&format!("{:<34} teaches {teaches}", ""));
        }
        for (n, twin) in scenario.twins.iter().enumerate() {
            report::print(&format!("{:<34} --twin {}: {}", "", n + 1, twin.title));
        }
    }
    Ok(Outcome::Good)
}
