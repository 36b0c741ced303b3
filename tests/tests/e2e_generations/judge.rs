//! What is wrong with what arrived.

use crate::bed::Arrivals;
use crate::flows::Flow;

/// What arrived in a look that no generation gives it, in words.
pub(crate) fn impure(flows: &[Flow], arrivals: &Arrivals) -> Vec<String> {
    let mut wrong = Vec::new();
    for (end, counts) in arrivals {
        for (signature, tally) in &counts.signatures {
            let flow = flows.iter().find(|flow| flow.id == signature.template);
            if !flow.is_some_and(|flow| flow.looks.contains(&(*end, *signature))) {
                let name = flow.map_or("no flow", |flow| &flow.name);
                wrong.push(format!(
                    "{name}: {} packets at {end:?} as {signature:?}",
                    tally.packets
                ));
            }
            if tally.bad_inner_checksum + tally.bad_outer_checksum > 0 {
                wrong.push(format!("checksums: {tally:?} of {signature:?}"));
            }
        }
        if counts.overflow > 0 {
            wrong.push(format!(
                "{} frames were not counted at {end:?}",
                counts.overflow
            ));
        }
    }
    wrong
}

/// Looks of what every generation forwards that never came: a generation without traffic would prove nothing.
pub(crate) fn unseen(flows: &[Flow], arrivals: &Arrivals) -> Vec<String> {
    let always = flows.iter().filter(|flow| flow.always);
    let looks = always.flat_map(|flow| flow.looks.iter().map(move |look| (flow, look)));
    looks
        .filter(|(_, (end, signature))| !arrivals[end].signatures.contains_key(signature))
        .map(|(flow, look)| format!("{}: never as {look:?}", flow.name))
        .collect()
}
