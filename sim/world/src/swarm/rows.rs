//! Assets of a drawn run: rows of JSON or CSV that lie in the scenario itself, and what a producer takes of them.

use super::dice::Dice;
use crate::scenario::RowsPlan;
use crate::scenario::asset::Asset;
use crate::scenario::library;
use crate::scenario::tree::Node;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Assets by their names.
pub type Assets = BTreeMap<Arc<str>, Asset>;

/// With commas and quotes within fields, and a field that several rows share.
const PORTS: [&str; 9] = [
    "code,city,country",
    "LIS,Lisbon,Portugal",
    "OPO,Porto,Portugal",
    "IAD,\"Washington, D.C.\",United States",
    "JFK,New York,United States",
    "OSL,Oslo,Norway",
    "BGO,\"Bergen \"\"between seven hills\"\"\",Norway",
    "KEF,Reykjavík,Iceland",
    "NRT,Tokyo,Japan",
];

/// Every fifth run has some.
pub fn draw_assets(dice: &mut Dice<'_>) -> Assets {
    if !dice.chance(20) {
        return Assets::new();
    }
    let asset = |lines: &[&str]| {
        let lines = Node::list(lines.iter().map(|line| Node::text(*line)));
        Asset::of(&lines).expect("it has rows")
    };
    let (name, asset) = if dice.chance(50) {
        let upto = dice.within(2, PORTS.len() as u64);
        let upto = usize::try_from(upto).expect("drawn up to the length");
        ("ports", asset(&PORTS[..upto]))
    } else {
        let text = library::find("airports.jsonl").expect("it comes with klab");
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let from = dice.below(lines.len() as u64);
        let from = usize::try_from(from).expect("drawn below the length");
        let rows = usize::try_from(dice.within(1, 12)).expect("twelve at most");
        let upto = lines.len().min(from + rows);
        ("airports", asset(&lines[from..upto]))
    };
    [(name.into(), asset)].into()
}

/// What a producer takes of them: half of the time nothing. `keyed` is how often, of a hundred times, rows have keys.
pub fn draw(dice: &mut Dice<'_>, assets: &Assets, keyed: u64) -> Option<RowsPlan> {
    let (name, asset) = assets.first_key_value()?;
    if !dice.chance(50) {
        return None;
    }
    let field = dice.pick(&["code", "city", "country"]);
    let key_field = dice.chance(keyed).then(|| Arc::from(field));
    let rows = asset.rows(key_field.as_deref());
    Some(RowsPlan {
        asset: name.clone(),
        rows: rows.expect("every row has every field"),
        key_field,
    })
}

#[cfg(test)]
mod tests {
    use crate::scenario::Scenario;
    use crate::swarm::{self, Half};
    use klab_kafka::rules::Rules;

    #[test]
    fn drawn_runs_carry_the_rows_that_they_send_and_begin_on_several_days() {
        let (mut with_rows, mut on_other_days) = (0, 0);
        for seed in 0..300 {
            let scenario = swarm::scenario(seed, Half::Safe, &Rules::default());
            let plans = scenario.producers.values();
            for rows in plans.filter_map(|plan| plan.rows.as_ref()) {
                let lines = scenario.assets[&rows.asset].rows(rows.key_field.as_deref());
                assert_eq!(lines.expect("good rows"), rows.rows, "seed {seed}");
                with_rows += 1;
            }
            on_other_days += u32::from(scenario.start != Scenario::tracer().start);
        }
        assert!(
            with_rows.min(on_other_days) >= 20,
            "{with_rows} {on_other_days}"
        );
    }
}
