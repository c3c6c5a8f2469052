//! What leads to everything below it: the dominators of a graph, after Cooper, Harvey and Kennedy.

/// The node through which every way from `root` to a node leads last, by node; `None` for what no way leads to. That of
/// `root` is `root`.
pub(super) fn immediate(edges: &[Vec<usize>], root: usize) -> Vec<Option<usize>> {
    let order = postorder(edges, root);
    let mut rank = vec![None; edges.len()];
    for (position, node) in order.iter().enumerate() {
        rank[*node] = Some(position);
    }
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for node in &order {
        for next in &edges[*node] {
            before[*next].push(*node);
        }
    }
    let mut dominators: Vec<Option<usize>> = vec![None; edges.len()];
    dominators[root] = Some(root);
    loop {
        let mut has_changed = false;
        for node in order.iter().rev().filter(|node| **node != root) {
            let known = before[*node].iter().copied().filter(|before| dominators[*before].is_some());
            let meeting = known.reduce(|one, other| meet(&dominators, &rank, one, other));
            if dominators[*node] != meeting {
                dominators[*node] = meeting;
                has_changed = true;
            }
        }
        if !has_changed {
            return dominators;
        }
    }
}

/// Where the ways up from two nodes meet.
fn meet(dominators: &[Option<usize>], rank: &[Option<usize>], one: usize, other: usize) -> usize {
    let (mut one, mut other) = (one, other);
    while one != other {
        let lower = if rank[one] < rank[other] { &mut one } else { &mut other };
        match dominators[*lower] {
            Some(above) => *lower = above,
            None => return *lower,
        }
    }
    one
}

/// What `root` leads to, each after everything that it leads to in turn, but for circles.
pub(super) fn postorder(edges: &[Vec<usize>], root: usize) -> Vec<usize> {
    let mut is_seen = vec![false; edges.len()];
    is_seen[root] = true;
    let mut order = Vec::new();
    let mut way = vec![(root, 0)];
    while let Some((node, turn)) = way.last_mut() {
        if let Some(next) = edges[*node].get(*turn) {
            *turn += 1;
            if !is_seen[*next] {
                is_seen[*next] = true;
                way.push((*next, 0));
            }
        } else {
            order.push(*node);
            way.pop();
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is reached from `root` without setting foot on `removed`.
    fn reached_without(edges: &[Vec<usize>], root: usize, removed: usize) -> Vec<bool> {
        let mut is_reached = vec![false; edges.len()];
        let mut ahead = vec![root];
        while let Some(node) = ahead.pop().filter(|node| *node != removed || *node == root) {
            if !std::mem::replace(&mut is_reached[node], true) && node != removed {
                ahead.extend(edges[node].iter().filter(|next| **next != removed));
            }
        }
        is_reached
    }

    fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
        (1usize..14).prop_flat_map(|nodes| {
            prop::collection::vec(prop::collection::vec(0..nodes, 0..4), nodes..=nodes)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// By the definition: a node dominates another if the other is not reached without it.
        #[test]
        fn a_dominator_is_what_no_way_avoids(edges in graphs()) {
            let dominators = immediate(&edges, 0);
            let reached = reached_without(&edges, 0, usize::MAX);
            for (node, is_reached) in reached.iter().enumerate() {
                prop_assert_eq!(dominators[node].is_some(), *is_reached);
                if !is_reached {
                    continue;
                }
                let mut above = std::collections::BTreeSet::from([node]);
                let mut at = node;
                while at != 0 {
                    at = dominators[at].expect("what is above is reached too");
                    prop_assert!(above.insert(at), "the way up ends at the root");
                }
                for other in (1..edges.len()).filter(|other| *other != node) {
                    let avoids = reached_without(&edges, 0, other)[node];
                    prop_assert_eq!(above.contains(&other), !avoids, "{} above {}", other, node);
                }
            }
        }
    }
}
