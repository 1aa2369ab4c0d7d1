//! What runs beside: the gradients of parameters. Nothing waits for them until the update, and alone they do not fill a large GPU, so
//! they have a branch of the graph of their own. Which launches those are and where the branches wait for each other follows from what
//! every launch reads and writes.

use std::collections::HashMap;
use std::ops::Range;

use super::plan::{Launch, Memory, Place, Touch};

/// Where a launch runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Order {
    /// Whether on the second branch.
    pub beside: bool,
    /// Launch of the other branch that must be done before; what is already waited for is not named again.
    pub after: Option<usize>,
}

/// Launches of the backward pass that run beside: those that write gradients of parameters or sums of them and nothing else, and those
/// that make the partial sums which these add up.
pub fn beside(launches: &[Launch], backward: Range<usize>) -> Vec<bool> {
    let touches: Vec<Vec<Touch>> = launches.iter().map(Launch::touches).collect();
    let is_end = |touch: &&Touch| matches!(touch.place.memory, Memory::Gradients | Memory::Results);
    // Whether a buffer has, from here on, only users that write gradients and sums.
    let mut only_summed: HashMap<Memory, bool> = HashMap::new();
    let mut beside: Vec<bool> = (0..launches.len())
        .rev()
        .map(|index| {
            let touches = touches.get(index).map_or(&[][..], Vec::as_slice);
            let written: Vec<_> = touches.iter().filter(|touch| touch.written).collect();
            let ends = !written.is_empty() && written.iter().all(is_end);
            let leads_to_sums = |touch: &&Touch| is_end(touch) || only_summed.get(&touch.place.memory).copied().unwrap_or(false);
            let is_beside = backward.contains(&index) && !written.is_empty() && written.iter().all(leads_to_sums);
            for touch in touches {
                let so_far = only_summed.entry(touch.place.memory).or_insert(true);
                *so_far &= ends;
            }
            is_beside
        })
        .collect();
    beside.reverse();
    beside
}

/// The order of all launches; `range` tells where a place really lies, because buffers share memory.
pub fn order(launches: &[Launch], beside: &[bool], range: impl Fn(Place) -> (Memory, Range<usize>)) -> Vec<Order> {
    let touches: Vec<_> = launches.iter().map(|launch| touched(launch, &range)).collect();
    // The last launch of the other branch that each branch has waited for.
    let mut waited: [Option<usize>; 2] = [None, None];
    let mut order = Vec::with_capacity(launches.len());
    for (index, ((launch, ours), beside_now)) in launches.iter().zip(&touches).zip(beside).enumerate() {
        let [first, second] = &mut waited;
        let known = if *beside_now { second } else { first };
        let others = touches.iter().zip(beside).enumerate().take(index).rev();
        let others = others.take_while(|(other, _)| known.is_none_or(|known| *other > known));
        let after = others
            .filter(|(_, (_, other))| *other != beside_now)
            .find(|(_, (theirs, _))| matches!(launch, Launch::Mark(_)) || conflict(ours, theirs))
            .map(|(other, _)| other);
        *known = after.or(*known);
        order.push(Order { beside: *beside_now, after });
    }
    order
}

type Touched = (Memory, Range<usize>, bool);

fn touched(launch: &Launch, range: impl Fn(Place) -> (Memory, Range<usize>)) -> Vec<Touched> {
    let touched = launch.touches().into_iter().map(|touch| {
        let (memory, range) = range(touch.place);
        (memory, range, touch.written)
    });
    touched.collect()
}

/// Whether two launches may not change places: one writes what the other uses.
fn conflict(ours: &[Touched], theirs: &[Touched]) -> bool {
    ours.iter().any(|(memory, range, written)| {
        let overlaps = |other: &Range<usize>| range.start < other.end && other.start < range.end;
        theirs.iter().any(|(other, place, writes)| (*written || *writes) && memory == other && overlaps(place))
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::cuda::plan::Plan;

    /// Panics if a launch may run before one of the other branch whose memory it needs. Knows nothing of how [`order`] finds out.
    pub fn check(plan: &Plan) {
        let range = |place| plan.range(place);
        let touches: Vec<_> = plan.launches.iter().map(|launch| touched(launch, range)).collect();
        for (index, ours) in touches.iter().enumerate() {
            let Order { beside, .. } = plan.order[index];
            // The newest launch of the other branch that is done when this one begins.
            let done = plan.order[..=index].iter().filter(|order| order.beside == beside).filter_map(|order| order.after).max();
            for (other, theirs) in touches.iter().enumerate().take(index) {
                let apart = plan.order[other].beside != beside && done.is_none_or(|done| done < other);
                assert!(
                    !apart || !conflict(ours, theirs),
                    "{:?} does not wait for {:?}",
                    plan.launches[index],
                    plan.launches[other]
                );
            }
        }
    }

    /// Through one buffer, a gradient is made and summed beside; then the buffer's memory is used again.
    fn plan() -> Plan {
        let mut plan = Plan::default();
        let [chain, sums, later] = ["chain", "sums", "later"].map(|name| plan.buffer(name, 256));
        let gradient = Place { memory: Memory::Gradients, offset: 0, bytes: 256 };
        plan.kernel("rows_gather", [1; 3], 32, vec![chain.into(), chain.into(), chain.into()]);
        plan.kernel("column_sums", [1; 3], 32, vec![chain.into(), sums.into()]);
        plan.kernel("sum_partials", [1; 3], 32, vec![sums.into(), gradient.into()]);
        plan.backward = 0..3;
        (0..30).for_each(|_| plan.kernel("rows_gather", [1; 3], 32, vec![later.into(), later.into(), later.into()]));
        plan.kernel("gradient_squares", [1; 3], 32, vec![gradient.into(), later.into()]);
        plan.complete();
        plan
    }

    #[test]
    fn sums_run_beside_and_are_waited_for_where_they_are_used() {
        let plan = plan();
        check(&plan);
        let beside: Vec<_> = (0..).zip(&plan.order).filter(|(_, order)| order.beside).map(|(index, _)| index).collect();
        assert_eq!(beside, [1, 2]);
        assert_eq!(plan.order[1].after, Some(0));
        assert_eq!(plan.order[2].after, None);
        assert_eq!(plan.order[33].after, Some(2));
    }

    #[test]
    #[should_panic(expected = "does not wait for")]
    fn a_wait_that_is_missing_is_found() {
        let mut plan = plan();
        plan.order[33].after = None;
        check(&plan);
    }
}
