//! How large a document becomes with its definitions written where they are used.

use super::root;
use crate::schema::graph::{Graph, Node, NodeKind};

/// Above this many nodes, or levels, inlining costs more than references do.
const MAX_SIZE: Size = Size { nodes: 4000, levels: 100 };

/// Whether the document stays of a sane size with the definitions that `inline` marks written where they are used. None of
/// those may lead back to itself.
pub(super) fn is_acceptable(graph: &Graph, inline: &[bool]) -> bool {
    let size = Size::of(graph, &root(graph), inline, &mut vec![None; inline.len()]);
    size.nodes <= MAX_SIZE.nodes && size.levels <= MAX_SIZE.levels
}

/// How large a node becomes with its references inlined.
#[derive(Debug, Clone, Copy)]
struct Size {
    nodes: usize,
    levels: usize,
}

impl Size {
    fn of(graph: &Graph, node: &Node, inline: &[bool], known: &mut Vec<Option<Self>>) -> Self {
        let mut size = Self { nodes: 1, levels: 1 };
        if let NodeKind::Ref(id) = node.kind {
            if !inline[id] {
                return size;
            }
            if let Some(size) = known[id] {
                return size;
            }
            let size = Self::of(graph, &graph.definitions[id].node, inline, known);
            known[id] = Some(size);
            return size;
        }
        for child in node.children() {
            let child = Self::of(graph, child, inline, known);
            size.nodes = size.nodes.saturating_add(child.nodes);
            size.levels = size.levels.max(child.levels + 1);
        }
        size
    }
}
