//! Which stages of a file could supply an input that is missing or of another kind.

use super::plan::Plan;
use crate::kind::Kind;
use crate::port::Port;

/// Which outputs fit a port: looked for once for each list of kinds, though thousands of stages may lack an input.
#[derive(Default)]
pub(super) struct Suppliers(Vec<(Vec<Kind>, Vec<Supplier>)>);

/// A stage, and its output as `in:` names it.
type Supplier = (usize, String);

impl Suppliers {
    /// So many are named.
    const SHOWN: usize = 4;

    /// The first outputs of other stages that fit a port.
    pub fn of(&mut self, plans: &[Plan<'_>], at: usize, port: &Port) -> Vec<String> {
        let known = self.0.iter().position(|(kinds, _)| *kinds == port.accepts);
        let known = known.unwrap_or_else(|| {
            let fitting =
                plans.iter().enumerate().filter_map(|(stage, plan)| Some((stage, fitting(plan, port)?)));
            // One more, for a stage does not supply itself.
            self.0.push((port.accepts.clone(), fitting.take(Self::SHOWN + 1).collect()));
            self.0.len() - 1
        });
        let others = self.0[known].1.iter().filter(|(stage, _)| *stage != at);
        others.map(|(_, name)| name.clone()).take(Self::SHOWN).collect()
    }
}

/// The first output of a stage that fits a port, as `in:` names it.
fn fitting(plan: &Plan<'_>, port: &Port) -> Option<String> {
    let outputs = plan.layout.bound.first()?.outputs();
    let index = outputs.iter().position(|output| port.accepts.contains(&output.kind))?;
    let stage = &plan.spec.key.text;
    Some(if index == 0 { stage.clone() } else { format!("{stage}.{}", outputs[index].name) })
}
