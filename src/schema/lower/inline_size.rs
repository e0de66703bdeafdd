//! The size of a document with its definitions inlined.

use super::root;
use crate::schema::graph::{Graph, Node, NodeKind};

/// Beyond this size, references cost less than inlining.
const MAX_SIZE: Size = Size { nodes: 4000, levels: 100 };

/// Returns whether the document stays within [`MAX_SIZE`] if the definitions marked in `inline` are inlined. None of
/// these may be recursive.
pub(super) fn is_acceptable(graph: &Graph, inline: &[bool]) -> bool {
    let size = Size::of(graph, &root(graph), inline, &mut vec![None; inline.len()]);
    size.nodes <= MAX_SIZE.nodes && size.levels <= MAX_SIZE.levels
}

/// The size of a node with its references inlined.
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
