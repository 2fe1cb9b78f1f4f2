//! The order in which models are computed: each after what it reads. Pure.

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the names depend on → all names, every one behind those it depends on; of independent ones the smaller first.
/// Dependencies on names outside of the map do not count.
///
/// # Errors
/// Names that depend on each other, one circle for each such group: the first name stands at the end again.
pub(super) fn dependency_order<N: Clone + Ord>(
    dependencies: &BTreeMap<N, BTreeSet<N>>,
) -> Result<Vec<N>, Vec<Vec<N>>> {
    let names: Vec<&N> = dependencies.keys().collect();
    let number = |name: &N| names.binary_search(&name).ok();
    let mut graph = DiGraphMap::<usize, ()>::new();
    for (from, inputs) in dependencies.values().enumerate() {
        graph.add_node(from);
        for to in inputs.iter().filter_map(number) {
            graph.add_edge(from, to, ());
        }
    }
    // Components come out with what they depend on first.
    let (mut order, mut circles) = (vec![], vec![]);
    for component in tarjan_scc(&graph) {
        match component.as_slice() {
            [one] if !graph.contains_edge(*one, *one) => order.push(names[*one].clone()),
            _ => circles.push(circle(&graph, &component).into_iter().map(|n| names[n].clone()).collect()),
        }
    }
    if circles.is_empty() { Ok(order) } else { Err(circles) }
}

/// The shortest way from the smallest node of a component back to itself.
fn circle(graph: &DiGraphMap<usize, ()>, component: &[usize]) -> Vec<usize> {
    let Some(start) = component.iter().copied().min() else { return vec![] };
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors(node) {
            if next == start {
                let mut way = vec![start, node];
                let mut at = node;
                while let Some(before) = came_from.get(&at) {
                    way.push(*before);
                    at = *before;
                }
                if node == start {
                    way.truncate(2);
                }
                way.reverse();
                return way;
            }
            if let std::collections::btree_map::Entry::Vacant(entry) = came_from.entry(next) {
                entry.insert(node);
                queue.push_back(next);
            }
        }
    }
    vec![start]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(edges: &[(&'static str, &[&'static str])]) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        edges.iter().map(|(name, inputs)| (*name, inputs.iter().copied().collect())).collect()
    }

    #[test]
    fn inputs_come_first() {
        let order = dependency_order(&graph(&[("a", &["c"]), ("b", &[]), ("c", &["b", "elsewhere"])]));
        assert_eq!(order, Ok(vec!["b", "c", "a"]));
    }

    #[test]
    fn circles_are_named() {
        let circles = dependency_order(&graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"])]));
        assert_eq!(circles, Err(vec![vec!["a", "b", "c", "a"]]));
        assert_eq!(dependency_order(&graph(&[("a", &["a"])])), Err(vec![vec!["a", "a"]]));
    }

    proptest! {
        #[test]
        fn every_order_is_an_order(edges in proptest::collection::vec((0_u8..12, 0_u8..12), 0..30)) {
            let mut graph: BTreeMap<u8, BTreeSet<u8>> = (0..12).map(|n| (n, BTreeSet::new())).collect();
            for (from, to) in edges {
                graph.entry(from).or_default().insert(to);
            }
            match dependency_order(&graph) {
                Ok(order) => {
                    prop_assert_eq!(order.len(), graph.len());
                    for (at, name) in order.iter().enumerate() {
                        prop_assert!(graph[name].iter().all(|input| order[..at].contains(input)));
                    }
                }
                Err(circles) => {
                    for circle in circles {
                        prop_assert!(circle.len() >= 2);
                        prop_assert_eq!(circle.first(), circle.last());
                        prop_assert!(circle.windows(2).all(|pair| graph[&pair[0]].contains(&pair[1])));
                    }
                }
            }
        }
    }
}
